"""A real Kubernetes for tests, on this machine: `python -m tests.cluster`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster import node
from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.cluster.layout import Layout, directory_of
from tests.cluster.lifecycle import is_up, opened, start, stop
from tests.cluster.processes import Processes
from tests.cluster.programs import obtain_programs
from tests.cluster.progress import say

_EXAMPLES = """\
examples:
  python -m tests.cluster up                            a control plane and a node (needs root)
  python -m tests.cluster up --gpus 4                   ... the node offers 4 GPUs that do not exist
  python -m tests.cluster up --control-plane-only --gpu-nodes 125 --name large
                                                        no root, and 125 simulated nodes of 8 GPUs
  eval "$(python -m tests.cluster env)"                 kubectl and helm of the cluster in this shell
  python -m tests.cluster load operator.tar             the images of an archive, for pods to use
  python -m tests.cluster down                          nothing is left of it

The first `up` builds Kubernetes from source, which takes 10 to 20 minutes on 2 cores.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line. Returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        layout = Layout(directory_of(options.name))
        run: Callable[[Layout, argparse.Namespace], int] = options.run
        return run(layout, options)
    except (CommandError, RuntimeError, TimeoutError, ValueError) as error:
        print(f"tests.cluster: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description="A real Kubernetes for tests, on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Layout, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("--name", default="default", help="which cluster, where there are several (default: default)")
        made.set_defaults(run=run)
        return made

    up = command("up", _up, "start a cluster and wait until it is ready")
    up.add_argument(
        "--control-plane-only", action="store_true", help="without a node that runs containers; needs no root"
    )
    up.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs that the node says it has (default: 0)")
    up.add_argument("--gpu-nodes", type=int, default=0, metavar="N", help="simulated nodes of 8 GPUs (default: 0)")
    command("down", _down, "end a cluster and leave nothing of it")
    command("status", _status, "show the processes and nodes of a cluster")
    command("env", _env, "print shell commands that make kubectl and helm use the cluster")
    load = command("load", _load, "bring the images of archives (docker save, OCI) to the node")
    load.add_argument("archive", nargs="+", type=Path, help="an archive, as from `docker save` or `buildah push`")
    add = command(
        "add-gpu-nodes", _add_gpu_nodes, "add simulated nodes with GPUs, whose pods run nothing until deleted"
    )
    add.add_argument("count", type=int, help="how many nodes")
    add.add_argument("--gpus-per-node", type=int, default=8, metavar="N", help="GPUs of each (default: 8)")
    command("build", _build, "build the programs of clusters, if they are not built yet")
    return parser


def _up(layout: Layout, options: argparse.Namespace) -> int:
    if is_up(layout):
        raise RuntimeError(f"the cluster {options.name} is up already; end it with: python -m tests.cluster down")
    if layout.directory.exists():
        say("Removing what is left of a cluster that was not ended")
        stop(layout)
    say("Starting a control plane" if options.control_plane_only else "Starting a control plane and a node")
    cluster = start(layout, with_node=not options.control_plane_only)
    if options.gpus:
        cluster.set_gpus(node.NAME, options.gpus)
    if options.gpu_nodes:
        cluster.add_gpu_nodes(options.gpu_nodes)
    say(f"The cluster is ready: export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _down(layout: Layout, options: argparse.Namespace) -> int:
    if not layout.directory.exists():
        say(f"There is no cluster {options.name}")
        return 0
    stop(layout)
    say(f"The cluster {options.name} is down")
    return 0


def _status(layout: Layout, options: argparse.Namespace) -> int:
    total = 0
    for name, record in Processes(layout.processes, layout.logs).all().items():
        total += record.resident_bytes
        state = f"{record.resident_bytes >> 20:6d} MiB" if record.is_alive else f"ended, see {layout.logs / name}.log"
        print(f"{name:24} process {record.pid:<8} {state}")
    print(f"{'all':24} {'':16} {total >> 20:6d} MiB\n")
    print(_running(layout, options).kubectl("get", "nodes"), end="")
    return 0


def _env(layout: Layout, options: argparse.Namespace) -> int:
    cluster = _running(layout, options)
    print(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.programs.directory}:$PATH")
    return 0


def _load(layout: Layout, options: argparse.Namespace) -> int:
    cluster = _running(layout, options)
    for archive in options.archive:
        say(f"Loading {archive}")
        cluster.load_image(archive)
    return 0


def _add_gpu_nodes(layout: Layout, options: argparse.Namespace) -> int:
    names = _running(layout, options).add_gpu_nodes(options.count, options.gpus_per_node)
    say(f"Added {names[0]} to {names[-1]}")
    return 0


def _build(_layout: Layout, _options: argparse.Namespace) -> int:
    print(obtain_programs().directory)
    return 0


def _running(layout: Layout, options: argparse.Namespace) -> Cluster:
    if not is_up(layout):
        raise RuntimeError(f"the cluster {options.name} is not up; start it with: python -m tests.cluster up")
    return opened(layout)


if __name__ == "__main__":
    sys.exit(main())
