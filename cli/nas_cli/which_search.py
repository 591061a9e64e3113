"""`WhichSearch`: the search that a command is about, in a state directory or in a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.failure import BadInput

if TYPE_CHECKING:
    from nas_cli.search_results import SearchResults

KUBECTL = "kubectl nas"
"""What the program is called as a plugin of kubectl."""


@dataclass(frozen=True, slots=True)
class WhichSearch:
    """What a command line says of it.

    Attributes:
        name: of a search in a cluster.
        state: directory of a search on this machine.
        cluster: which cluster, and where in it.
        in_kubectl: the program is called as a plugin of kubectl, whose searches are in a cluster unless they have a
            state directory.
    """

    name: str | None
    state: Path | None
    cluster: ClusterOptions
    in_kubectl: bool

    @property
    def in_cluster(self) -> bool:
        """Whether it is in a cluster.

        Raises:
            BadInput: it is said to be in both places.
        """
        named = self.name is not None or self.cluster.given
        if named and self.state is not None:
            raise BadInput(
                "--state means a search on this machine, a name or --namespace, --context and --kubeconfig one in a "
                "cluster: give one or the other"
            )
        return named or (self.in_kubectl and self.state is None)


@contextmanager
def open_search(which: WhichSearch) -> Iterator["SearchResults"]:
    """The results of a search.

    Raises:
        Failure: there is no such search, or it cannot be read.
    """
    if which.in_cluster:
        from nas_cli.cluster.results import open_cluster_results

        with open_cluster_results(which.name, which.cluster) as in_cluster:
            yield in_cluster
    else:
        from nas_cli.results import open_results

        with open_results(which.state) as on_disk:
            yield on_disk
