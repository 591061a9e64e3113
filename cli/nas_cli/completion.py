"""Completion of a command line: names of searches in a cluster."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions


def complete_search(context: typer.Context, incomplete: str) -> list[str]:
    """Names of searches in the namespace that the command line means. None if the cluster cannot be asked."""
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.searches import list_searches
    from nas_cli.failure import Failure

    given: dict[str, Any] = context.params
    kubeconfig = given.get("kubeconfig")
    options = ClusterOptions(given.get("namespace"), given.get("context"), Path(kubeconfig) if kubeconfig else None)
    with suppress(Failure), open_cluster(options) as cluster:
        names = [search["metadata"]["name"] for search in list_searches(cluster)]
        return [name for name in names if name.startswith(incomplete)]
    return []
