"""Completion of a command line: names of searches, and the program that kubectl asks (`kubectl_complete-nas`)."""

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions

# What kubectl is to do with the candidates (cobra's ShellCompDirective): no file names beside them; file names.
_NOTHING_ELSE, _FILES = ":4", ":0"


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


def kubectl_complete() -> None:
    """Prints candidates for the last argument, one a line, as kubectl asks plugins for them."""
    from nas_cli.main import kubectl_plugin

    words = ["nas", *sys.argv[1:]]
    os.environ.update(
        COMP_WORDS=shlex.join(words), COMP_CWORD=str(len(words) - 1), _KUBECTL_NAS_COMPLETE="complete_bash"
    )
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        kubectl_plugin()
    candidates = [line for line in printed.getvalue().splitlines() if line]
    print("\n".join([*candidates, _NOTHING_ELSE if candidates else _FILES]))
