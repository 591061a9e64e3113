"""`nas get`: the searches in a cluster."""

from enum import StrEnum
from typing import Annotated

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.commands.which import takes_cluster
from nas_cli.completion import complete_search


class SearchesOutput(StrEnum):
    """How searches are written."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


@takes_cluster
def get(
    search: Annotated[
        str | None,
        typer.Argument(metavar="SEARCH", help="Only this one.", show_default=False, autocompletion=complete_search),
    ] = None,
    *,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")] = False,
    output: Annotated[SearchesOutput, typer.Option("--output", "-o", help="How to write them.")] = SearchesOutput.TABLE,
    cluster: ClusterOptions,
) -> None:
    """List the searches in a cluster, and how they stand.

    Examples:
      [bold]kubectl nas get[/]                       in the namespace of the context

      [bold]kubectl nas get -A -o wide[/]            in all namespaces, with what they wait for

      [bold]kubectl nas get digits -n team -o yaml[/]

      [bold]nas get --context gpu-cluster[/]         the same program
    """
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.searches import find_search, list_searches
    from nas_cli.cluster.table import write_searches
    from nas_cli.failure import BadInput

    if search is not None and everywhere:
        raise BadInput(f"{search} is in one namespace: leave --all-namespaces out, and give --namespace")
    with open_cluster(cluster) as opened:
        found = [find_search(opened, search)] if search else list_searches(opened, everywhere=everywhere)
        where = "the cluster" if everywhere else f"namespace {opened.namespace}"
        write_searches(found, output.value, namespaces=everywhere, where=where)
