"""A search, what it asks of a cluster, and objects that the cluster might have."""

import json
from typing import Any

from nas_api.spec import NASSearch
from nas_cli.cluster.preflight.demand import Demand, demand_of
from nas_operator.settings import Settings

Object = dict[str, Any]

SETTINGS = Settings(controller_image="registry.example/controller:1", child_image="registry.example/child:1")


def demand(spec: Object | None = None, *, exists: bool = False) -> Demand:
    """Of the search `digits` in the namespace `team`."""
    document = {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": "digits", "namespace": "team"},
        "spec": spec or {},
    }
    search = NASSearch.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)
    return demand_of(search, SETTINGS, exists=exists)


def gpu_pool(replicas: int = 4, name: str = "gpu", **more: Any) -> Object:
    """Of workers with a GPU, 8 cores and 32 GiB."""
    resources = {"nvidia.com/gpu": "1", "cpu": "8", "memory": "32Gi"}
    return {"name": name, "replicas": replicas, "resources": resources} | more


def node(name: str, *, labels: Object | None = None, taints: list[Object] | None = None, **allocatable: str) -> Object:
    """A node that is ready, of 64 cores and 256 GiB; `gpu` are those of NVIDIA."""
    resources = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    resources |= {"nvidia.com/gpu" if key == "gpu" else key: value for key, value in allocatable.items()}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def pod_on(node_name: str, phase: str = "Running", labels: Object | None = None, **requests: str) -> Object:
    """A pod of somebody on a node."""
    return {
        "metadata": {"name": "other", "namespace": "team", "labels": labels or {}},
        "spec": {
            "nodeName": node_name,
            "containers": [{"resources": {"requests": {name.replace("gpu", "nvidia.com/gpu"): amount
                                                       for name, amount in requests.items()}}}],
        },
        "status": {"phase": phase},
    }  # fmt: skip


def named(name: str, **fields: Any) -> Object:
    """Any object."""
    return {"metadata": {"name": name}, **fields}
