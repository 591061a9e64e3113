"""NASSearch and NASPool in a cluster: their definitions, and objects to try them with."""

from pathlib import Path
from typing import Any

from nas_operator.crd import naspool_crd, nassearch_crd

from tests.cluster.cluster import Cluster

ROOT = Path(__file__).parents[2]
GROUP, VERSION = "kubenas.dev", "v1alpha1"

Object = dict[str, Any]


def install_crds(cluster: Cluster) -> None:
    """Applies the CRDs as the models have them now, and waits until they are served."""
    crds = [nassearch_crd(), naspool_crd()]
    cluster.apply(*crds)
    names = [f"crd/{crd['metadata']['name']}" for crd in crds]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


def search(name: str, spec: Object | None = None) -> Object:
    """A NASSearch."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "NASSearch", "metadata": {"name": name}, "spec": spec or {}}


def pool(name: str, spec: Object) -> Object:
    """A NASPool."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "NASPool", "metadata": {"name": name}, "spec": spec}
