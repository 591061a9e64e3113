"""Starting and ending the project's own clusters."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster import machine, node
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import Network, free_port, start_control_plane
from tests.cluster.credentials import write_credentials
from tests.cluster.debian import install_missing_packages
from tests.cluster.layout import Layout
from tests.cluster.processes import Processes
from tests.cluster.programs import Programs, obtain_programs

_NODE_NETWORK = Network(machine.NODE_ADDRESS, 6443, machine.PODS, machine.SERVICES, advertise=True)


def start(layout: Layout, *, with_node: bool, end_with_us: bool = False) -> Cluster:
    """Starts a cluster and waits until it is ready.

    Args:
        layout: Its directory.
        with_node: Whether it has a node that runs containers, which needs root, or is a control plane only.
        end_with_us: Whether it ends when the thread that calls this ends, however that ends.

    Raises:
        RuntimeError: It cannot be started here, or something in it ended; the message says why.
    """
    if with_node and os.geteuid() != 0:
        raise RuntimeError("only root can start a cluster with a node; a control plane only needs no root")
    programs = obtain_programs()
    if with_node:
        install_missing_packages()
    layout.create()
    layout.programs.symlink_to(programs.path("hyperkube").parent.absolute())
    processes = Processes(layout.processes, layout.logs, end_with_us=end_with_us)
    try:
        return (_start_with_node if with_node else _start_control_plane_only)(layout, programs, processes)
    except BaseException:
        stop(layout)
        raise


def _start_control_plane_only(layout: Layout, programs: Programs, processes: Processes) -> Cluster:
    with free_port() as port:
        # Pods and services have addresses that lead nowhere: a client that is given one does not leave the machine.
        network = Network("127.0.0.1", port, pods="198.18.0.0/16", services="127.96.0.0/16", advertise=False)
        write_credentials(layout, network.api_url, network.api_names, node.NAME, "127.0.0.1")
        start_control_plane(layout, programs, processes, network)
    return opened(layout, processes)


def _start_with_node(layout: Layout, programs: Programs, processes: Processes) -> Cluster:
    network = _NODE_NETWORK
    inside = machine.enter(layout, programs, processes)
    write_credentials(layout, network.api_url, network.api_names, node.NAME, machine.NODE_ADDRESS)
    start_control_plane(layout, programs, inside, network)
    node.start_node(layout, programs, inside, opened(layout, inside))
    return opened(layout, inside)


def opened(layout: Layout, processes: Processes | None = None) -> Cluster:
    """A cluster that is up already, with the programs that it was started with."""
    programs = Programs(layout.programs.resolve())
    has_node = layout.containerd_socket.exists()
    load = functools.partial(node.load_image, layout, programs) if has_node else None
    return Cluster(layout.kubeconfig, programs, processes or Processes(layout.processes, layout.logs), load)


def is_up(layout: Layout) -> bool:
    """Whether anything of a cluster runs."""
    return any(record.is_alive for record in Processes(layout.processes, layout.logs).all().values())


def stop(layout: Layout) -> None:
    """Ends a cluster, however much of it there is, and leaves nothing of it."""
    Processes(layout.processes, layout.logs).kill_all()
    machine.leave(layout)
    with suppress(FileNotFoundError):
        shutil.rmtree(layout.directory)


@contextmanager
def temporary_control_plane() -> Iterator[Cluster]:
    """A control plane for the duration of the context."""
    layout = Layout(Path(tempfile.mkdtemp(prefix="kubenas-cluster-")))
    cluster = start(layout, with_node=False, end_with_us=True)
    try:
        yield cluster
    finally:
        stop(layout)
