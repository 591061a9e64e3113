"""Programs that a node needs from the machine's distribution."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.progress import say

# What to look for, and the Debian package that has it.
_PACKAGES = {
    "ip": "iproute2",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
    "unshare": "util-linux",
}
_CNI_PLUGINS = "containernetworking-plugins"
_CNI_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin")
# Where administrators' programs are as well: not everybody has these directories on PATH.
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def install_missing_packages() -> None:
    """Installs the packages of which something is missing.

    Raises:
        RuntimeError: They cannot be installed here; the message says which they are.
    """
    missing = missing_packages()
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"a node needs what Debian has in the packages {', '.join(missing)}: install that first")
    say(f"Installing the Debian packages {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"apt-get {command[0]} failed:\n{done.stdout}")


def missing_packages() -> list[str]:
    """The packages that have to be installed for a node to run."""
    missing = [package for program, package in _PACKAGES.items() if find(program) is None]
    return missing if cni_plugins() else [*missing, _CNI_PLUGINS]


def find(program: str) -> str | None:
    """The path of a program, wherever administrators' programs are."""
    return shutil.which(program, path=PATH)


def require(program: str) -> str:
    """The path of a program that `install_missing_packages` has seen to."""
    path = find(program)
    assert path is not None, program
    return path


def cni_plugins() -> Path | None:
    """The directory of the CNI plug-ins."""
    return next((Path(directory) for directory in _CNI_DIRECTORIES if Path(directory, "bridge").exists()), None)
