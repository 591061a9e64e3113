"""The values of the chart: each is explained, checked by the schema, and means what the operator's settings mean."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from nas_operator.settings import Settings
from pydantic.alias_generators import to_snake

from tools.chart import CHART, values

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

# What the chart sets from other values than those of `settings`.
FROM_ELSEWHERE = {"namespaces", "controller_image", "child_image", "image_pull_policy", "metrics_peers"}
FROM_ELSEWHERE |= {"tracing_endpoint", "tracing_ratio"}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]  # type: ignore[no-any-return]
    return schema


def mappings(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    schema = resolved(schema)
    if schema.get("type") == "object":
        yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from mappings(child, f"{path}.{name}")


def test_every_value_is_explained() -> None:
    assert all(comment.endswith(".") for _, _, comment in values())
    assert {path.partition(".")[0] for path, _, _ in values()} == set(VALUES)


def test_the_schema_knows_the_values_and_no_others() -> None:
    # Helm gives every chart `global`.
    assert set(SCHEMA["properties"]) - {"global"} == set(VALUES)
    for path, default, _ in values():
        schema, value = SCHEMA, VALUES
        for name in path.split("."):
            schema, value = resolved(schema["properties"][name]), value[name]
        assert value == default


@pytest.mark.parametrize(("path", "schema"), list(mappings(SCHEMA)))
def test_a_misspelt_value_is_an_error(path: str, schema: dict[str, Any]) -> None:
    """What Kubernetes itself defines is left to the API server."""
    assert "additionalProperties" in schema or path in {
        ".global",
        ".podSecurityContext",
        ".securityContext",
        ".affinity.nodeAffinity",
        ".affinity.podAffinity",
        ".affinity.podAntiAffinity",
    }


def test_every_setting_of_the_operator_has_a_value() -> None:
    assert {to_snake(name) for name in VALUES["settings"]} | FROM_ELSEWHERE == set(Settings.model_fields)


def test_the_defaults_are_the_operator_s_but_the_log_of_a_pod_is_json() -> None:
    named = Settings.model_validate(
        {to_snake(name): value for name, value in VALUES["settings"].items()}
        | {"controller_image": "a", "child_image": "b", "image_pull_policy": VALUES["images"]["pullPolicy"]}
    )
    assert named == Settings(controller_image="a", child_image="b", log_format="json")


def test_the_bounds_are_the_operator_s() -> None:
    of_operator = Settings.model_json_schema()["properties"]
    of_chart = SCHEMA["properties"]["settings"]["properties"]
    for name, schema in of_chart.items():
        for bound in {"enum", "minimum", "maximum"} & schema.keys():
            # 0 is a free port: of use to tests, but nothing that a probe could find.
            if (name, bound) != ("healthPort", "minimum"):
                assert schema[bound] == of_operator[to_snake(name)][bound], (name, bound)
