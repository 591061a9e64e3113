"""Starting and ending the project's own cluster."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import Network, free_port, start_control_plane
from tests.cluster.credentials import write_credentials
from tests.cluster.layout import Layout
from tests.cluster.processes import Processes
from tests.cluster.programs import Programs, obtain_programs

NODE = "node0"


def start_control_plane_only(layout: Layout, programs: Programs, *, end_with_us: bool = False) -> Cluster:
    """Starts a control plane on loopback, which needs no root."""
    layout.create()
    processes = Processes(layout.processes, layout.logs, end_with_us=end_with_us)
    with free_port() as port:
        network = Network("127.0.0.1", port, pods="198.18.0.0/16", services="127.96.0.0/16", advertise=False)
        write_credentials(layout, network.api_url, network.api_names, NODE, "127.0.0.1")
        start_control_plane(layout, programs, processes, network)
    return Cluster(layout.kubeconfig, programs, processes)


def stop(layout: Layout) -> None:
    """Ends a cluster, however much of it there is, and removes its directory."""
    Processes(layout.processes, layout.logs).kill_all()
    shutil.rmtree(layout.directory, ignore_errors=True)


@contextmanager
def temporary_control_plane() -> Iterator[Cluster]:
    """A control plane for the duration of the context."""
    layout = Layout(Path(tempfile.mkdtemp(prefix="kubenas-cluster-")))
    try:
        yield start_control_plane_only(layout, obtain_programs(), end_with_us=True)
    finally:
        stop(layout)
