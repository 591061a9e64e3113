"""The programs of a cluster: one binary that is every component, built from Go modules at pinned versions."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Programs:
    """A directory with the programs of a cluster.

    `hyperkube` is all of: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, coredns,
    kwok, kubectl, helm; links beside it have these names.
    """

    directory: Path

    def path(self, name: str) -> Path:
        """The program of that name."""
        return self.directory / name


def obtain_programs() -> Programs:
    return Programs(Path(os.environ["KUBENAS_CLUSTER_PROGRAMS"]))
