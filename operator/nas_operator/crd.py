"""The CustomResourceDefinitions of `NASSearch` and `NASPool`, generated from the models.

python -m nas_operator.crd -o manifests/crds [--check]
"""

import sys
from collections.abc import Sequence
from typing import Any

from nas_api.generation import write_or_check
from nas_api.manifest.document import write_yaml
from nas_api.spec import NASPool, NASSearch
from nas_api.spec.base import SpecModel
from nas_api.spec.nassearch import API_GROUP, API_VERSION
from nas_api.spec.schema import Schema, inlined_schema

from nas_operator.crd_rules import NASPOOL_RULES, NASSEARCH_RULES, Rule
from nas_operator.crd_schema import structural_schema

_HEADER = "# Generated from the models in nas_api.spec by `python -m nas_operator.crd`. Do not edit.\n"

_NASSEARCH_COLUMNS = [
    (
        "State",
        "string",
        '.status.conditions[?(@.type=="Ready")].reason',
        "Running, FinalTraining, Suspended, or what is wrong.",
        0,
    ),
    ("Succeeded", "string", '.status.conditions[?(@.type=="Succeeded")].status', "Whether it has ended well.", 0),
    ("Trials", "integer", ".status.trials.finished", "Architectures that are finished.", 0),
    ("Of", "string", ".spec.budget.maxTrials", "Architectures that end the search.", 0),
    ("Best", "number", ".status.bestTrial.reward", "The highest reward so far.", 0),
    ("Workers", "integer", ".status.workers.alive", "Workers that are there.", 0),
    ("Wanted", "integer", ".status.workers.wanted", "Workers that should be there.", 0),
    ("Age", "date", ".metadata.creationTimestamp", "Since it was made.", 0),
    ("Failed", "integer", ".status.trials.failed", "Architectures that could not be trained.", 1),
    ("Updates", "integer", ".status.updates", "Updates of the policy.", 1),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether the search does what it should.", 1),
]
_NASPOOL_COLUMNS = [
    ("Search", "string", ".spec.search", "The NASSearch that the pool works for.", 0),
    ("Pool", "string", ".spec.pool", "Its name in that search.", 0),
    ("Desired", "integer", ".spec.replicas", "Workers wanted.", 0),
    ("Current", "integer", ".status.replicas", "Workers that exist.", 0),
    ("Ready", "integer", ".status.readyReplicas", "Workers that the controller has heard of.", 0),
    ("Age", "date", ".metadata.creationTimestamp", "Since it was made.", 0),
]


def nassearch_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of NASSearch."""
    schema = _object_schema(NASSearch, NASSEARCH_RULES)
    pools = _field(schema, "spec.pools")
    pools |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    names = {"plural": "nassearches", "singular": "nassearch", "shortNames": ["nass"]}
    return _crd("NASSearch", names, schema, _NASSEARCH_COLUMNS, {"status": {}})


def naspool_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of NASPool."""
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    names = {"plural": "naspools", "singular": "naspool", "shortNames": ["nasp"]}
    schema = _object_schema(NASPool, NASPOOL_RULES)
    return _crd("NASPool", names, schema, _NASPOOL_COLUMNS, {"status": {}, "scale": scale})


def _crd(
    kind: str,
    names: dict[str, Any],
    schema: Schema,
    columns: Sequence[tuple[str, str, str, str, int]],
    subresources: dict[str, Any],
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{API_GROUP}"},
        "spec": {
            "group": API_GROUP,
            "scope": "Namespaced",
            # A short name equal to a category would make `kubectl get` ambiguous.
            "names": {"kind": kind, "listKind": f"{kind}List", **names, "categories": ["nas"]},
            "versions": [
                {
                    "name": API_VERSION.removeprefix(f"{API_GROUP}/"),
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                    "additionalPrinterColumns": [
                        {
                            "name": name,
                            "type": type_,
                            "jsonPath": path,
                            "description": description,
                            "priority": priority,
                        }
                        for name, type_, path, description, priority in columns
                    ],
                }
            ],
        },
    }


def _object_schema(model: type[SpecModel], rules: Sequence[Rule]) -> Schema:
    source = inlined_schema(model)
    properties = source["properties"]
    schema = structural_schema({"type": "object", "description": source["description"], "properties": {}})
    schema["properties"] = {
        "apiVersion": {"type": "string", "description": "Version of the API."},
        "kind": {"type": "string", "description": "Kind of object."},
        # The API server knows what metadata is.
        "metadata": {"type": "object"},
        "spec": structural_schema(properties["spec"]),
        "status": structural_schema(properties["status"], defaults=False),
    }
    if "spec" in source["required"]:
        schema["required"] = ["spec"]
    conditions = _field(schema, "status.conditions")
    conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    for rule in rules:
        _field(schema, rule.path).setdefault("x-kubernetes-validations", []).append(
            {"rule": rule.expression, "message": rule.message}
        )
    return schema


def _field(schema: Schema, path: str) -> Schema:
    """The schema at `path`, in which `[]` stands for the items of a list."""
    for name in filter(None, path.replace("[]", ".[]").split(".")):
        schema = schema["items"] if name == "[]" else schema["properties"][name]
    return schema


def crd_files() -> dict[str, str]:
    """The CustomResourceDefinitions as YAML, by file name."""
    return {
        f"{API_GROUP}_{crd['spec']['names']['plural']}.yaml": _HEADER + write_yaml(crd)
        for crd in (nassearch_crd(), naspool_crd())
    }


if __name__ == "__main__":
    sys.exit(write_or_check(crd_files(), "Writes the CustomResourceDefinitions of NASSearch and NASPool."))
