"""Searches to build objects of, as they come from a cluster."""

import json
from collections.abc import Mapping
from typing import Any

from nas_api.spec import NASSearch, Pool
from nas_operator.settings import Settings

SETTINGS = Settings(controller_image="registry.example/controller:1", child_image="registry.example/child:1")
UID = "0e1f5c4a-6f0c-4d37-9d6c-0d3c3a1f7b11"

# Says something of everything that pods can have.
FULL_SPEC: dict[str, Any] = {
    "controller": {
        "storage": {"size": "5Gi", "storageClassName": "fast", "accessMode": "ReadWriteOnce"},
        "resources": {"cpu": "2", "memory": "4Gi"},
        "nodeSelector": {"tier": "system"},
        "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "high",
    },
    "trainer": {
        "volumes": [
            {"claimName": "images", "mountPath": "/data"},
            {"claimName": "scratch", "mountPath": "/scratch", "readOnly": False},
            {"claimName": "scratch", "mountPath": "/models", "subPath": "models"},
        ],
        "environment": {"NCCL_DEBUG": "WARN"},
        "environmentSecret": "object-store",
        "egress": [{"cidr": "10.0.0.0/8", "port": 443}, {"cidr": "2001:db8::/32"}],
    },
    "pools": [
        {
            "name": "spot",
            "replicas": 3,
            "resources": {
                "nvidia.com/mig-1g.10gb": 1,
                "deviceclass.resource.kubernetes.io/gpu.nvidia.com": 1,
                "cpu": "3500m",
                "memory": "16Gi",
            },
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [
                {"key": "spot", "value": "true", "effect": "NoExecute", "tolerationSeconds": 30},
                {"operator": "Exists"},
            ],
            "priorityClassName": "low",
            "runtimeClassName": "nvidia",
            "queue": "research",
        },
        {"name": "cpu"},
    ],
}


def search_of(spec: Mapping[str, Any] | None = None, **metadata: str) -> NASSearch:
    """A search named `digits` in the namespace `research`."""
    document = {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": "digits", "namespace": "research", "uid": UID} | metadata,
        "spec": spec or {},
    }
    return NASSearch.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)


def edited(spec: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`spec` with another value at a path such as `controller.lease.duration` or `pools.0.replicas`."""
    copy: dict[str, Any] = json.loads(json.dumps(spec))
    node: Any = copy
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return copy


def pool_of(search: NASSearch, name: str) -> Pool:
    return next(pool for pool in search.spec.pools if pool.name == name)
