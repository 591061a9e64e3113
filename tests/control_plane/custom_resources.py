"""NASSearch and NASPool in a cluster: their definitions, and objects to try them with."""

import json
from pathlib import Path
from typing import Any

from nas_operator.crd import naspool_crd, nassearch_crd

from tests.cluster.cluster import Cluster

ROOT = Path(__file__).parents[2]
GROUP, VERSION = "kubenas.dev", "v1alpha1"
CRDS = (f"crd/nassearches.{GROUP}", f"crd/naspools.{GROUP}")

Object = dict[str, Any]


def install_crds(cluster: Cluster) -> None:
    """Applies the CRDs as the models have them now, and waits until they are served."""
    cluster.apply(nassearch_crd(), naspool_crd())
    wait_until_served(cluster)


def wait_until_served(cluster: Cluster) -> None:
    """Waits until both kinds can be used, with their schemas. That they are established is written a moment earlier."""

    def served() -> bool:
        cluster.kubectl("get", "nassearches,naspools", "--all-namespaces")
        document = json.loads(cluster.kubectl("get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}"))
        schemas = set(document["components"]["schemas"])
        return {f"dev.kubenas.{VERSION}.{kind}" for kind in ("NASSearch", "NASPool")} <= schemas

    cluster.kubectl("wait", "--for=condition=Established", "--timeout=120s", *CRDS)
    cluster.wait_for(served, "NASSearch and NASPool to be served")


def search(name: str, spec: Object | None = None) -> Object:
    """A NASSearch."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "NASSearch", "metadata": {"name": name}, "spec": spec or {}}


def pool(name: str, spec: Object) -> Object:
    """A NASPool."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "NASPool", "metadata": {"name": name}, "spec": spec}
