"""A real control plane without nodes, for the tests in this folder."""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import namespace_for, pytest_runtest_makereport
from tests.cluster.lifecycle import temporary_control_plane

__all__ = ["control_plane", "namespace", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """A control plane that no real node belongs to. It ends with the session."""
    with temporary_control_plane() as cluster:
        yield cluster


@pytest.fixture
def namespace(control_plane: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    with namespace_for(control_plane, request.node.name, wait=False) as name:
        yield name
