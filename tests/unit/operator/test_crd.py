"""The CustomResourceDefinitions: what an API server demands of them, and that they say what the models say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from nas_api.spec import NASPool, NASSearch
from nas_operator.crd import crd_files, naspool_crd, nassearch_crd
from nas_operator.crd_rules import NASPOOL_RULES, NASSEARCH_RULES
from pydantic import ValidationError

ROOT = Path(__file__).parents[3]
CRDS = [nassearch_crd(), naspool_crd()]
Schema = dict[str, Any]


def schema_of(crd: dict[str, Any]) -> Schema:
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}.*")


ALL_NODES = [
    pytest.param(node, id=f"{crd['spec']['names']['kind']}{path}")
    for crd in CRDS
    for path, node in nodes(schema_of(crd))
]


def complaints(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """What an API server would say of `value`, rules in CEL left out, fields unknown to the schema included."""
    if value is None:
        if not schema.get("nullable"):
            yield f"{path} is null"
        return
    if "type" not in schema and schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield f"{path} is neither integer nor string"
        elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            yield f"{path} does not match"
        return
    python_types: dict[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    if not isinstance(value, python_types[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        yield f"{path} is not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is not one of {schema['enum']}"
    match value:
        case dict():
            yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
            if len(value) > schema.get("maxProperties", 1000):
                yield f"{path} has too many entries"
            for name, item in value.items():
                child = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
                if child is not None:
                    yield from complaints(item, child, f"{path}.{name}")
                elif not schema.get("x-kubernetes-preserve-unknown-fields") and path != ".metadata":
                    yield f"{path}.{name} is unknown"
        case list():
            if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
                yield f"{path} has {len(value)} items"
            for index, item in enumerate(value):
                yield from complaints(item, schema["items"], f"{path}[{index}]")
        case str() if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1000):
            yield f"{path} has {len(value)} characters"
        case str() if not re.search(schema.get("pattern", ""), value):
            yield f"{path} does not match"
        case int() | float() if "minimum" in schema and (
            value < schema["minimum"] or (schema.get("exclusiveMinimum") and value == schema["minimum"])
        ):
            yield f"{path} is too small"
        case int() | float() if "maximum" in schema and (
            value > schema["maximum"] or (schema.get("exclusiveMaximum") and value == schema["maximum"])
        ):
            yield f"{path} is too large"


@pytest.mark.parametrize("node", ALL_NODES)
def test_a_schema_is_structural(node: Schema) -> None:
    allowed = {
        "type", "format", "description", "default", "nullable", "properties", "required", "items", "enum",
        "additionalProperties", "pattern", "minLength", "maxLength", "minItems", "maxItems", "maxProperties",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "anyOf", "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
    }  # fmt: skip
    assert set(node) <= allowed
    if node.get("x-kubernetes-int-or-string"):
        assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        assert "type" not in node
    elif "type" not in node:
        assert node.get("x-kubernetes-preserve-unknown-fields") is True
    else:
        assert isinstance(node["type"], str)
        assert "anyOf" not in node
    assert not ("properties" in node and "additionalProperties" in node)


@pytest.mark.parametrize("node", ALL_NODES)
def test_every_list_mapping_and_text_has_a_cap_so_that_the_cost_of_rules_is_bounded(node: Schema) -> None:
    match node.get("type"):
        case "array":
            assert node["maxItems"] <= 100
        case "object" if "additionalProperties" in node or "x-kubernetes-preserve-unknown-fields" in node:
            assert node["maxProperties"] <= 256
        # The API server itself checks apiVersion and kind.
        case "string" if "enum" not in node and node.get("description") not in (
            "Version of the API.",
            "Kind of object.",
        ):
            assert node["maxLength"] <= 1024


@pytest.mark.parametrize("node", ALL_NODES)
def test_a_default_is_valid_and_complete(node: Schema) -> None:
    if "default" in node:
        assert list(complaints(node["default"], node)) == []
        # A default that lacks a field would be accepted only if the field's own default were applied in it.
        assert {
            name for name, child in node.get("properties", {}).items() if "default" in child
        } <= set(node["default"] if isinstance(node["default"], dict) else ())  # fmt: skip


@pytest.mark.parametrize("node", ALL_NODES)
def test_every_field_is_described_on_one_line_a_paragraph(node: Schema) -> None:
    if "properties" in node or "nullable" in node or "default" in node:
        assert re.fullmatch(r"[^\n]+(\n\n[^\n]+)*", node["description"])


def test_the_operator_alone_writes_the_status() -> None:
    for crd in CRDS:
        assert crd["spec"]["versions"][0]["subresources"]["status"] == {}
        status = schema_of(crd)["properties"]["status"]
        assert [path for path, node in nodes(status) if "default" in node] == []


def test_no_short_name_equals_a_category() -> None:
    names = [crd["spec"]["names"] for crd in CRDS]
    assert [name["shortNames"] for name in names] == [["nass"], ["nasp"]]
    assert all(name["categories"] == ["nas"] for name in names)


@pytest.mark.parametrize("crd", CRDS)
def test_columns_and_scale_show_fields_that_are_there(crd: dict[str, Any]) -> None:
    version = crd["spec"]["versions"][0]
    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    paths += list(version["subresources"].get("scale", {}).values())
    fields = {path for path, _ in nodes(schema_of(crd))}
    for path in paths:
        if not path.startswith(".metadata."):
            assert re.sub(r"\[\?.*?\]", "[]", path) in fields


def test_a_pool_is_scaled_by_its_replicas() -> None:
    assert naspool_crd()["spec"]["versions"][0]["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


@pytest.mark.parametrize("name", sorted(crd_files()))
def test_the_generated_file_is_up_to_date(name: str) -> None:
    assert (ROOT / "manifests" / "crds" / name).read_text(encoding="utf-8") == crd_files()[name]


def manifest(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "demo"}, "spec": spec}


def test_everything_that_the_models_write_is_accepted() -> None:
    search = NASSearch.model_validate(
        manifest(
            {
                "searchSpace": {"convNet": {"constraints": {"maxParameters": 1000}}},
                "controller": {"parallelism": {"replicas": 3, "maxVersionLag": 5}},
                "trainer": {"timeout": "5m", "memoryLimit": "2Gi", "parameters": {"a": {"b": [1, None]}}},
                "pools": [{"name": "a", "resources": {"cpu": 4, "memory": "1.5Gi"}, "tolerations": [{"key": "spot"}]}],
                "budget": {"maxTrials": "unlimited", "targetReward": 0.9},
            }
        )
    )
    # Every field is written out, null where nothing is set: a null that is not nullable would be pruned.
    value = search.model_dump(mode="json", by_alias=True)
    assert list(complaints(value, schema_of(nassearch_crd()))) == []


def test_a_pool_that_the_models_write_is_accepted() -> None:
    pool = NASPool.model_validate(
        {
            "apiVersion": "kubenas.dev/v1alpha1",
            "kind": "NASPool",
            "metadata": {"name": "demo-gpu"},
            "spec": {"search": "demo", "pool": "gpu"},
        }
    )
    assert list(complaints(pool.model_dump(mode="json", by_alias=True), schema_of(naspool_crd()))) == []


# For each rule a spec that breaks it. The API server and the models must say the same.
BROKEN: dict[str, dict[str, Any]] = {
    "spec.searchSpace.convNet.layers": {"searchSpace": {"convNet": {"layers": {"initial": 9, "max": 3}}}},
    "layerTypes must include Convolution": {"searchSpace": {"convNet": {"layerTypes": ["MaxPooling"]}}},
    "filters lists a choice twice": {"searchSpace": {"convNet": {"filters": [24, 24]}}},
    "trains a RecurrentCell: set searchSpace.type to it": {
        "trainer": {"task": "language-model", "dataset": {"path": "pydoc"}}
    },
    "type Discrete needs discrete.choices": {
        "searchSpace": {"type": "Discrete"},
        "trainer": {"task": "a:b"},
        "reward": {"metric": "x"},
    },
    "repeat and choices go together": {
        "searchSpace": {
            "type": "Discrete",
            "discrete": {"choices": [{"name": "a", "choices": [{"name": "b", "values": [1]}]}]},
        },
    },
    "names must be unique": {
        "searchSpace": {"type": "Discrete", "discrete": {"choices": [{"name": "a", "values": [1]}] * 2}}
    },
    "dataset.path 'pydoc' is not for image-classification": {"trainer": {"dataset": {"path": "pydoc"}}},
    "dataset.path 'digits' is not for language-model": {"trainer": {"task": "language-model"}},
    "is for images: leave it out for language-model": {
        "trainer": {"task": "language-model", "dataset": {"path": "pydoc", "format": "IDX"}}
    },
    "sharedEmbeddings need embeddingSize": {
        "trainer": {"languageModel": {"sharedEmbeddings": True, "embeddingSize": 5, "hiddenSize": 6}}
    },
    "optimizer.warmupEpochs": {"trainer": {"epochs": 3, "optimizer": {"warmupEpochs": 5}}},
    "of the form module:function": {"trainer": {"task": "nonsense"}},
    "must not be zero: every architecture would have the same reward": {"reward": {"scale": 0}},
    "to learn from more architectures at a time, set parallelism.batchSize": {
        "controller": {"algorithm": {"type": "Editing"}, "parallelism": {"gradientsPerUpdate": 2}}
    },
    "set failedTrial.reward below the reward of any that trains": {
        "trainer": {"task": "a:b"},
        "reward": {"metric": "x", "scale": -1},
    },
    "is not reported by image-classification, which reports train_loss, val_loss, val_accuracy": {
        "reward": {"metric": "accuracy"}
    },
    "give it the other sign": {"reward": {"metric": "val_loss"}},
    "constraints need the shape of the data, which is known of built-in tasks alone": {
        "searchSpace": {"convNet": {"constraints": {"maxFlops": 5}}},
        "trainer": {"task": "a:b"},
        "reward": {"metric": "x"},
    },
    "learningRate lists a value twice": {"finalTraining": {"grid": {"learningRate": [0.1, 0.1]}}},
    "above zero and": {"budget": {"maxDuration": "0s"}},
    "operator Exists matches every value": {
        "pools": [{"name": "a", "tolerations": [{"operator": "Exists", "value": "x"}]}]
    },
    "operator Equal needs a key": {"pools": [{"name": "a", "tolerations": [{"value": "x"}]}]},
    "tolerationSeconds needs effect NoExecute": {
        "pools": [{"name": "a", "tolerations": [{"key": "k", "tolerationSeconds": 1}]}]
    },
}


@pytest.mark.parametrize(("words", "spec"), BROKEN.items())
def test_what_a_rule_rejects_the_models_reject_too_in_the_same_words(words: str, spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        NASSearch.model_validate(manifest(spec))
    if not words.startswith("spec."):
        assert words in str(error.value)
    assert any(words in rule.message or words == rule.path for rule in NASSEARCH_RULES)


def test_what_the_results_depend_on_is_immutable_and_what_the_volume_is_made_by() -> None:
    immutable = [rule.path for rule in (*NASSEARCH_RULES, *NASPOOL_RULES) if rule.expression == "self == oldSelf"]
    assert immutable == [
        "spec.searchSpace",
        "spec.controller.policy",
        "spec.controller.algorithm.type",
        "spec.trainer.task",
        "spec.trainer.dataset",
        "spec.reward",
        "spec.seed",
        "spec.controller.storage",
        "spec.search",
        "spec.pool",
    ]


def test_lists_of_any_type_in_a_grid_are_sets_since_no_rule_can_look_at_their_values() -> None:
    fields = dict(nodes(schema_of(nassearch_crd())))
    assert fields[".spec.finalTraining.grid.parameters.*"]["x-kubernetes-list-type"] == "set"
    with pytest.raises(ValidationError, match="width lists a value twice"):
        NASSearch.model_validate(
            manifest(
                {
                    "finalTraining": {"grid": {"parameters": {"width": [8, 16, 8]}}},
                    "trainer": {"task": "a:b"},
                    "reward": {"metric": "x"},
                }
            )
        )


def test_what_is_immutable_has_no_sets_in_which_order_means_nothing() -> None:
    for crd, rules in zip(CRDS, (NASSEARCH_RULES, NASPOOL_RULES), strict=True):
        sets = [path for path, node in nodes(schema_of(crd)) if node.get("x-kubernetes-list-type") == "set"]
        immutable = tuple(f".{rule.path}" for rule in rules if rule.expression == "self == oldSelf")
        assert not [path for path in sets if path.startswith(immutable)]


def test_the_file_is_yaml_that_every_reader_takes_for_the_same() -> None:
    for (_, text), crd in zip(crd_files().items(), CRDS, strict=True):
        assert yaml.safe_load(text) == crd
