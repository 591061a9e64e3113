"""A real cluster with a node that runs pods, for the tests in this folder."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, loader_from_command
from tests.cluster.fixtures import namespace_for, pytest_runtest_makereport
from tests.cluster.layout import Layout, directory_of
from tests.cluster.lifecycle import is_up, opened, start, stop
from tests.cluster.processes import Processes
from tests.cluster.programs import Programs, obtain_programs
from tests.cluster.progress import say
from tests.cluster.snapshot import snapshot
from tests.e2e.installation import Installation, load_images

__all__ = ["cluster", "namespace", "operator", "pytest_addoption", "pytest_runtest_makereport"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options that name an existing cluster."""
    group = parser.getgroup("kubenas")
    group.addoption(
        "--kubeconfig",
        default=os.environ.get("KUBENAS_E2E_KUBECONFIG"),
        help="run on this existing cluster, not on one of our own (default: $KUBENAS_E2E_KUBECONFIG)",
    )
    group.addoption(
        "--load-image",
        default=os.environ.get("KUBENAS_E2E_LOAD_IMAGE"),
        metavar="COMMAND",
        help="what loads images there: 'kind load image-archive {archive}' (default: $KUBENAS_E2E_LOAD_IMAGE)",
    )


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of the session: an existing one, the one that `make cluster-up` has started, or a new one."""
    layout = Layout(directory_of("default"))
    if kubeconfig := request.config.getoption("--kubeconfig"):
        directory = tmp_path_factory.mktemp("cluster")
        processes = Processes(directory / "processes", directory / "log", end_with_us=True)
        programs = Programs(None) if shutil.which("kubectl") and shutil.which("helm") else obtain_programs()
        load = request.config.getoption("--load-image")
        yield Cluster(Path(kubeconfig).absolute(), programs, processes, loader_from_command(load) if load else None)
        processes.kill_all()
    elif is_up(layout):
        say("Using the cluster that is up")
        yield opened(layout)
    else:
        stop(layout)  # what a session left that was killed
        before = snapshot()
        started = start(layout, with_node=True, end_with_us=True)
        yield started
        stop(layout)
        assert snapshot() - before == set(), "the machine is not as it was"


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    with namespace_for(cluster, request.node.name, wait=True) as name:
        yield name


@pytest.fixture(scope="session")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The operator of this checkout, installed in the cluster."""
    load_images(cluster, tmp_path_factory.mktemp("images"))
    installation = Installation(cluster)
    installation.install()
    yield installation
    installation.uninstall()
