"""Every manifest that a user finds in the repository is taken by an API server as it stands."""

from pathlib import Path

import pytest
from nas_api.manifest import load_manifest
from nas_api.spec import NASSearch

from tests.cluster.cluster import Cluster
from tests.control_plane.custom_resources import ROOT

MANIFESTS = sorted([*ROOT.glob("manifests/samples/*.yaml"), *ROOT.glob("examples/**/*.yaml")])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_sample_is_applied(manifest: Path, cluster: Cluster, namespace: str) -> None:
    said = cluster.kubectl("--namespace", namespace, "apply", "--dry-run=server", "-f", manifest)
    assert said.endswith("created (server dry run)\n")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_sample_means_the_same_to_a_cluster_as_to_nas_run(manifest: Path, cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("--namespace", namespace, "apply", "-f", manifest)
    on_cluster = cluster.kubectl_json("--namespace", namespace, "get", "-f", manifest)
    assert NASSearch.model_validate(on_cluster).spec == load_manifest(manifest).spec
