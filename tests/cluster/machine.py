"""The part of the machine that a cluster with a node runs in, so that nothing of it is left behind.

Its processes live in namespaces of their own (mounts, network, processes, host name), as in a container, but with the
machine's files. The first process there holds them: when it ends, the kernel ends all others, containers included, and
with them go their mounts, network interfaces and routes. What no namespace holds is put back by hand: cgroups, and
settings of the kernel that the kubelet changes.
"""

import ipaddress
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.cluster.command import CommandError, run
from tests.cluster.debian import require
from tests.cluster.layout import Layout
from tests.cluster.processes import Processes, children_of
from tests.cluster.programs import Programs
from tests.cluster.waiting import wait_for

CGROUP = "kubenas"  # the kubelet makes the cgroups of pods below this one
HOST_LINK = "kubenas0"  # the machine's end of the wire into the cluster
BRIDGE = "cni0"

PODS = "10.217.0.0/16"
SERVICES = "10.218.0.0/16"
NODE_ADDRESS = "10.217.0.1"  # of the bridge that pods are on; everything listens here
HOST_ADDRESS = "10.219.0.1"  # of this machine, as pods see it
_LINK_NODE = "10.219.0.2"

# Where containerd, CNI and the kubelet leave files whatever they are told: the cluster gets directories of its own.
_PRIVATE = ("/run", "/var/lib", "/var/log")

# What the kubelet sets for the whole machine.
_KERNEL_SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_SETTINGS_FILE = "kernel-settings.json"  # as they were


def enter(layout: Layout, programs: Programs, processes: Processes) -> Processes:
    """Makes the namespaces and returns what starts processes in them.

    Raises:
        RuntimeError: A network that the cluster uses is in use, or its directory is where it would not see it.
    """
    if any(layout.directory.is_relative_to(directory) for directory in _PRIVATE):
        raise RuntimeError(f"{layout.directory} cannot be the directory of a cluster: set XDG_CACHE_HOME to another")
    check_networks(json.loads(run(require("ip"), "-json", "route")))
    (layout.directory / _SETTINGS_FILE).write_text(json.dumps(kernel_settings()))
    for cgroup in _cgroups():
        _enable_controllers(cgroup.parent)
        cgroup.mkdir(exist_ok=True)
    below = "|".join(f"{directory}/" for directory in _PRIVATE)
    prepare = [
        "set -e",
        # What others have mounted there must not stay mounted for as long as we are.
        f"""awk '$2 ~ "^({below})" {{print $2}}' /proc/self/mounts | tac | xargs -r umount -l""",
        "mount --make-rshared /",  # volumes may be propagated between containers
    ]
    for directory in _PRIVATE:
        private = layout.directory / "machine" / directory.replace("/", "-")
        private.mkdir(parents=True)
        prepare.append(f"mount --bind '{private}' {directory}")
    namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    script = "; ".join([*prepare, f"exec '{programs.path('pause')}'"])
    holder = processes.start("namespaces", [require("unshare"), *namespaces, "sh", "-c", script])
    init = _wait_for_child(holder, "pause", processes)
    _connect(init)
    target = [f"--target={init}", "--mount", "--net", "--pid", "--uts", "--ipc", f"--wd={layout.directory}"]
    return Processes(layout.processes, layout.logs, [require("nsenter"), *target, "--"], processes.end_with_us)


def leave(layout: Layout) -> None:
    """Puts back what is not in the namespaces. Their processes have ended."""
    settings = layout.directory / _SETTINGS_FILE
    if not settings.exists():
        return  # it has no node
    for name, value in json.loads(settings.read_text()).items():
        if kernel_settings()[name] != value:
            Path("/proc/sys", name).write_text(value)
    with suppress(CommandError):  # the kernel may have been faster: with a network go the wires into it, a little later
        run(require("ip"), "link", "delete", HOST_LINK)
    wait_for(lambda: _LINK_NODE not in run(require("ip"), "route"), "the routes into the cluster to be gone")
    for cgroup in _cgroups():
        for directory, _, _ in os.walk(cgroup, topdown=False):
            _remove_cgroup(Path(directory))


def _connect(init: int) -> None:
    """A wire between the machine and the cluster's network, and the routes to pods and services."""
    ip = require("ip")
    inside = [require("nsenter"), f"--target={init}", "--net", ip]
    run(ip, "link", "add", HOST_LINK, "type", "veth", "peer", "name", "uplink", "netns", str(init))
    run(ip, "address", "add", f"{HOST_ADDRESS}/30", "dev", HOST_LINK)
    run(ip, "link", "set", HOST_LINK, "up")
    prefix = PODS.partition("/")[2]
    for arguments in (
        "link set lo up",
        f"address add {_LINK_NODE}/30 dev uplink",
        "link set uplink up",
        # An address of its own: else the bridge takes the lowest of its ports', which change.
        f"link add {BRIDGE} address 02:6b:6e:61:73:01 type bridge",
        f"address add {NODE_ADDRESS}/{prefix} dev {BRIDGE}",
        f"link set {BRIDGE} up",
        f"route add default via {HOST_ADDRESS}",
    ):
        run(inside[0], *inside[1:], *arguments.split())
    run(inside[0], *inside[1:-1], "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    for network in (PODS, SERVICES):
        run(ip, "route", "add", network, "via", _LINK_NODE)


def check_networks(routes: Iterable[dict[str, str]]) -> None:
    """Raises RuntimeError if a route of the machine leads to a network that the cluster uses."""
    ours = [ipaddress.ip_network(network) for network in (PODS, SERVICES, f"{HOST_ADDRESS}/30".replace(".1/", ".0/"))]
    for route in routes:
        if route["dst"] == "default":
            continue
        theirs = ipaddress.ip_network(route["dst"])
        if any(theirs.overlaps(network) for network in ours):
            raise RuntimeError(
                f"this machine has a route to {route['dst']} ({route.get('dev')}), a network that a cluster with "
                "a node needs for itself. Is another one up? End it first: python -m tests.cluster down"
            )


def _wait_for_child(parent: int, name: str, processes: Processes) -> int:
    """Waits until a process has a child that has become the program of that name, and returns its id."""
    while True:
        processes.check()
        for child in children_of(parent):
            with suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == name:
                    return child
        time.sleep(0.01)


def kernel_settings() -> dict[str, str]:
    """The settings of the kernel that a kubelet changes."""
    return {name: Path("/proc/sys", name).read_text().strip() for name in _KERNEL_SETTINGS}


def _cgroups() -> list[Path]:
    """Our cgroup in each hierarchy: one in version 2, one for each controller in version 1."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [Path(point) / CGROUP for _, point, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]


def _enable_controllers(hierarchy: Path) -> None:
    """Lets the groups of a hierarchy of version 2 have all controllers: the kubelet refuses one that lacks some."""
    controllers = hierarchy / "cgroup.controllers"
    if controllers.exists():
        for controller in controllers.read_text().split():
            (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")


def _remove_cgroup(cgroup: Path) -> None:
    """Removes an empty cgroup; the kernel may still be taking leave of the processes that were in it."""
    deadline = time.monotonic() + 10
    while True:
        try:
            cgroup.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
