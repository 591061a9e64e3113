"""A real control plane without nodes, for the tests in this folder, and what those of the operator share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import namespace_for, pytest_runtest_makereport, pytest_terminal_summary
from tests.cluster.kubectl_nas import Run, kubectl_nas
from tests.cluster.lifecycle import temporary_control_plane
from tests.control_plane.custom_resources import GROUP, install_crds
from tests.control_plane.operator_process import OperatorProcess, running_operator
from tests.control_plane.rights import install_rights
from tests.control_plane.searches import Namespace

__all__ = [
    "cluster",
    "control_plane",
    "gpu_nodes",
    "installed",
    "namespace",
    "nas",
    "operator",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
    "space",
]


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


@pytest.fixture(scope="module")
def cluster(control_plane: Cluster) -> Cluster:
    """The control plane, with our custom resources."""
    install_crds(control_plane)
    return control_plane


@pytest.fixture(scope="module")
def gpu_nodes(cluster: Cluster) -> Iterator[None]:
    """Simulated nodes of 48 GPUs together."""
    names = cluster.add_gpu_nodes(6, gpus_per_node=8)
    yield
    pods = ("get", "pods", "--all-namespaces", "-o", "name")
    cluster.wait_for(lambda: not cluster.kubectl(*pods), "the pods of ended tests to be gone", timeout=120)
    cluster.remove_nodes(names)


@pytest.fixture
def space(cluster: Cluster, gpu_nodes: None, namespace: str) -> Namespace:
    """A namespace with room for workers, and a volume for the journal of the search `digits`."""
    space = Namespace(cluster, namespace)
    space.add_volume()
    return space


@pytest.fixture
def operator(space: Namespace, tmp_path: Path) -> Iterator[OperatorProcess]:
    """The operator of that namespace. It says what it does, and writes statuses at once."""
    with running_operator(space.cluster, tmp_path, space.name, log_level="DEBUG", status_seconds="0") as operator:
        yield operator
        assert "Traceback" not in operator.log.read_text(), operator.log.read_text()


@pytest.fixture
def nas(cluster: Cluster, namespace: str) -> Run:
    """`kubectl nas` in a namespace of its own."""
    return kubectl_nas(cluster, namespace)


@pytest.fixture
def installed(cluster: Cluster, namespace: str) -> Iterator[None]:
    """An installation whose roles for users go with the test: they would make up for roles that another one lacks."""
    install_rights(cluster, namespace)
    yield
    roles = cluster.kubectl("get", "clusterroles", "-o", "name").split()
    cluster.kubectl("delete", *(role for role in roles if role.partition("/")[2].startswith(namespace)))
    # Kubernetes takes the rights out of its own roles a moment later. The next test must not take them for its own.
    of_kubernetes = ("get", "clusterroles", "view", "edit", "admin", "-o", "yaml")
    cluster.wait_for(lambda: GROUP not in cluster.kubectl(*of_kubernetes), "the rights of users to be gone")
