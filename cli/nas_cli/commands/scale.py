"""`nas scale`: more or fewer workers for a search in a cluster."""

from typing import Annotated

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.commands.pause import Search
from nas_cli.commands.which import takes_cluster
from nas_cli.terminal import stdout


@takes_cluster
def scale(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="As in spec.pools.", show_default=False)],
    replicas: Annotated[
        int, typer.Argument(metavar="N", min=0, max=10_000, help="Workers wanted.", show_default=False)
    ],
    search: Search = None,
    *,
    cluster: ClusterOptions,
) -> None:
    """Scale a pool of a search in a cluster. Workers that are too many finish what they train.

    Examples:
      [bold]kubectl nas scale default 16[/]          of the only search in the namespace

      [bold]nas scale spot 0 digits -n team[/]       the pool spot of the search digits
    """
    from nas_cli.cluster.changes import scale as scale_pool
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.searches import find_search

    with open_cluster(cluster) as opened:
        found = find_search(opened, search)
        before = scale_pool(opened, found, pool, replicas)
    stdout().print(f"{found['metadata']['name']}: pool {pool} from {before} to {replicas} workers", markup=False)
