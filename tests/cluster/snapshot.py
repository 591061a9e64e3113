"""What a cluster could leave on the machine, to see that it does not."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.command import run
from tests.cluster.debian import require
from tests.cluster.layout import cache_directory
from tests.cluster.machine import kernel_settings

# Where containers and CNI keep state, on any machine.
_DIRECTORIES = (
    "/etc/cni",
    "/opt/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    str(cache_directory() / "run"),
)
# Podman, which builds the images, makes it when it first runs a container, and keeps it.
_CGROUP_OF_PODMAN = "libpod_parent"


def snapshot() -> set[str]:
    """The state of the machine in the respects that matter, to be compared with a later one."""
    mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}
    hierarchies = [mount for mount in mounts if mount.startswith("/sys/fs/cgroup")]
    cgroups = [entry for mount in hierarchies for entry in os.scandir(mount) if entry.name != _CGROUP_OF_PODMAN]
    files = {path for directory in _DIRECTORIES for path in Path(directory).rglob("*")}
    return {
        *(f"mount {mount}" for mount in mounts if mount.startswith(_DIRECTORIES)),
        *(f"link {line.split(': ')[1]}" for line in run(require("ip"), "-oneline", "link").splitlines()),
        *(f"route {line.strip()}" for line in run(require("ip"), "route").splitlines()),
        *(f"setting {name}={value}" for name, value in kernel_settings().items()),
        *(f"cgroup {entry.path}" for entry in cgroups if entry.is_dir()),
        *(f"file {path}" for path in files - _of_packages()),
    }


def _of_packages() -> set[Path]:
    """What the packages bring that tests install and leave, and the lock that podman makes when it is first called."""
    lock = Path("/etc/cni/net.d/cni.lock")
    if shutil.which("dpkg-query") is None:
        return {lock}
    query = ["dpkg-query", "--listfiles", "podman", "containernetworking-plugins"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return {lock, *(Path(line) for line in listed.splitlines())}
