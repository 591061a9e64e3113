"""Where the files of one cluster lie. All of them are in one directory, so that removing it removes the cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

_LONGEST_SOCKET_PATH = 107  # bytes, of sockaddr_un without its final zero


def cache_directory() -> Path:
    """What is kept between clusters: the programs. `$XDG_CACHE_HOME/kubenas/cluster`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubenas/cluster"


def directory_of(name: str) -> Path:
    """The directory of the cluster that the command line calls `name`."""
    return cache_directory() / "run" / name


@dataclass(frozen=True)
class Layout:
    """The directory of a cluster and what is where in it."""

    directory: Path

    def __post_init__(self) -> None:
        longest = self.directory / "kubelet/device-plugins/kubelet.sock"
        if len(os.fsencode(longest)) > _LONGEST_SOCKET_PATH:
            raise ValueError(
                f"{self.directory} is too long for the directory of a cluster: {longest}, a socket in it, would "
                f"be longer than {_LONGEST_SOCKET_PATH} bytes. Set XDG_CACHE_HOME (or TMPDIR) to a shorter path."
            )

    def create(self) -> None:
        """Makes the directory, readable for its owner only: it holds keys."""
        for directory in (self.directory, self.pki, self.kubeconfigs, self.logs, self.processes, self.configuration):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.directory / "pki"

    @property
    def kubeconfigs(self) -> Path:
        """A kubeconfig for each component, and `admin`."""
        return self.directory / "kubeconfig"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfigs / "admin"

    @property
    def programs(self) -> Path:
        """A link to the directory of the programs that the cluster runs."""
        return self.directory / "programs"

    @property
    def logs(self) -> Path:
        """`NAME.log` of each process."""
        return self.directory / "log"

    @property
    def processes(self) -> Path:
        """A record of each process that was started."""
        return self.directory / "processes"

    @property
    def configuration(self) -> Path:
        """Configuration files of the components."""
        return self.directory / "configuration"

    @property
    def etcd_socket(self) -> Path:
        """Where etcd listens: a socket of the file system needs no free port."""
        return self.directory / "etcd.sock"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.directory / "containerd.sock"

    @property
    def volumes(self) -> Path:
        """The directories of persistent volumes."""
        return self.directory / "volumes"
