"""`nas pause` and `nas resume`: a search in a cluster gives its workers back, and goes on later."""

from typing import Annotated

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.commands.which import takes_cluster
from nas_cli.completion import complete_search
from nas_cli.terminal import stdout

Search = Annotated[
    str | None,
    typer.Argument(
        metavar="SEARCH",
        help="Default: the only one in the namespace.",
        show_default=False,
        autocompletion=complete_search,
    ),
]


@takes_cluster
def pause(search: Search = None, *, cluster: ClusterOptions) -> None:
    """Pause a search in a cluster: its workers finish what they train and go.

    It sets spec.suspend. On this machine Ctrl-C pauses a [bold]nas run[/].

    Examples:
      [bold]kubectl nas pause digits[/]

      [bold]nas pause digits -n team --context gpu-cluster[/]
    """
    _set(cluster, search, suspend=True)


@takes_cluster
def resume(search: Search = None, *, cluster: ClusterOptions) -> None:
    """Go on with a search in a cluster that was paused.

    Examples:
      [bold]kubectl nas resume digits[/]

      [bold]nas resume digits -n team --context gpu-cluster[/]
    """
    _set(cluster, search, suspend=False)


def _set(options: ClusterOptions, search: str | None, *, suspend: bool) -> None:
    from nas_cli.cluster.changes import set_suspended
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.searches import find_search

    with open_cluster(options) as cluster:
        found = find_search(cluster, search)
        changed = set_suspended(cluster, found, suspend=suspend)
    name = found["metadata"]["name"]
    if not changed:
        text = f"{name} {'is paused' if suspend else 'is not paused'} already"
    else:
        text = f"{name} pauses: its workers finish what they train and go" if suspend else f"{name} goes on"
    stdout().print(text, markup=False)
