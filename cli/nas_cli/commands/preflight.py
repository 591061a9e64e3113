"""`nas preflight`: can this cluster run this manifest?"""

from typing import Annotated

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.commands.options import DocumentOutput, Manifest, Overrides
from nas_cli.commands.which import takes_cluster
from nas_cli.failure import FAILED, BadInput


@takes_cluster
def preflight(
    file: Manifest,
    overrides: Overrides = None,
    output: Annotated[
        DocumentOutput, typer.Option("--output", "-o", help="How to write the checks.")
    ] = DocumentOutput.TABLE,
    *,
    cluster: ClusterOptions,
) -> None:
    """Check whether a cluster can run a manifest, before it is applied. Nothing is changed there.

    Installation, your rights, quotas, room on the nodes, volumes, images, classes and queues, and what the
    API server says to a dry run. Exit status 1 if a check has failed.

    Examples:
      [bold]kubectl nas preflight search.yaml[/]

      [bold]kubectl nas preflight search.yaml -n team --set spec.pools[0].replicas=16[/]

      [bold]nas preflight search.yaml --context gpu-cluster -o json[/]
    """
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.preflight.check import Outcome, worst
    from nas_cli.cluster.preflight.checks import all_checks
    from nas_cli.cluster.preflight.reading import look
    from nas_cli.cluster.preflight.writing import write_checks
    from nas_cli.manifest import read_manifest
    from nas_cli.terminal import stderr

    search = read_manifest(file, overrides)
    if "namespace" in search.metadata.model_fields_set:
        if cluster.namespace not in (None, search.metadata.namespace):
            raise BadInput(
                f"{file} says metadata.namespace {search.metadata.namespace}, and --namespace {cluster.namespace}: "
                "leave one of them out"
            )
        cluster = ClusterOptions(search.metadata.namespace, cluster.context, cluster.kubeconfig)
    with open_cluster(cluster) as opened:
        metadata = search.metadata.model_copy(update={"namespace": opened.namespace})
        search = search.model_copy(update={"metadata": metadata})
        with stderr().status(f"looking at the cluster of {opened.access.context}"):
            checks = all_checks(look(opened, search))
        write_checks(checks, search.full_name, opened.access.context, output.value)
    if worst(checks) is Outcome.FAILED:
        raise typer.Exit(FAILED)
