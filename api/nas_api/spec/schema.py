"""The models as JSON schema with every reference inlined, and a field's allowed values in words.

Error messages, the reference and the CRDs are all made from it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
FieldPath = tuple[str | int, ...]

_FORMATS = {
    "duration": "a duration such as 90s, 45m or 1h30m",
    "quantity": "a quantity such as 500M, 2Gi or 4",
    "dns-label": "a name of at most {maxLength} lower-case letters, digits and '-'",
    "choice-name": "a name of at most {maxLength} letters, digits and '_'",
    "choice-value": "a number, text, true or false",
    "date-time": "a time such as 2025-01-31T12:00:00Z",
}


def inlined_schema(model: type[BaseModel]) -> Schema:
    """JSON schema of `model` as it is written in YAML. It has no `$ref` and no `title`."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            model = definitions[node["$ref"].removeprefix("#/$defs/")]
            # What the field is for, then what its model says.
            texts = dict.fromkeys(text for part in (node, model) if (text := part.get("description")))
            node = {**model, **node, "description": "\n\n".join(texts)}
        # A title is text; a field that is named so has a schema.
        return {
            key: value if key in ("default", "const", "enum", "examples") else inline(value)
            for key, value in node.items()
            if key != "$ref" and not (key == "title" and isinstance(value, str))
        }

    inlined: Schema = inline(schema)
    return inlined


def without_null(schema: Schema) -> Schema:
    """`schema` without the alternative null: the one alternative that is left, or those that are."""
    alternatives = schema.get("anyOf", ())
    kept = [alternative for alternative in alternatives if alternative.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(kept) == 1:
        return {**kept[0], **rest}
    return {**rest, "anyOf": kept} if kept else schema


def is_nullable(schema: Schema) -> bool:
    """Whether null is allowed."""
    return any(alternative.get("type") == "null" for alternative in schema.get("anyOf", ()))


def schema_at(schema: Schema, path: FieldPath) -> Schema | None:
    """The schema of the field at `path`; None if there is no such field."""
    for part in path:
        schema = without_null(schema)
        if isinstance(part, int):
            found = schema.get("items")
        else:
            found = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
        if not isinstance(found, dict):
            return None
        schema = found
    return schema


def fields(schema: Schema, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Every field below `schema` with its path, mappings before their fields; items of lists have the index 0."""
    schema = without_null(schema)
    for name, child in schema.get("properties", {}).items():
        yield (*path, name), child
        yield from fields(child, (*path, name))
    if isinstance(items := schema.get("items"), dict):
        yield from fields(items, (*path, 0))


def describe(schema: Schema) -> str:
    """What a value may be, as words after "is not": "an integer from 1 to 100", "one of Max, Min"."""
    if "format" in schema:
        return _FORMATS[schema["format"]].format_map(schema)
    if "anyOf" in schema:
        return " or ".join(describe(alternative) for alternative in schema["anyOf"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"])
    match schema.get("type"):
        case "integer":
            return "an integer" + _range(schema)
        case "number":
            return "a number" + _range(schema)
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "array":
            each = f", each {describe(schema['items'])}" if "items" in schema else ""
            return "a list" + _size(schema.get("minItems", 0), schema.get("maxItems"), "items") + each
        case "string":
            return "text" + _size(schema.get("minLength", 0), schema.get("maxLength"), "characters")
        case "object":
            values = schema.get("additionalProperties")
            each = f" of {describe(values)}" if isinstance(values, dict) else ""
            return "a mapping" + each
    return "anything"


def _size(least: int, most: int | None, unit: str) -> str:
    if most is None:
        return f" of at least {least} {unit}" if least else ""
    return f" of {least} to {most} {unit}" if least else f" of at most {most} {unit}"


def _range(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {_number(schema['minimum'])} to {_number(schema['maximum'])}"
    parts = [
        f"{words} {_number(schema[key])}"
        for key, words in (
            ("minimum", "of at least"),
            ("exclusiveMinimum", "greater than"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "less than"),
        )
        if key in schema
    ]
    return f" {' and '.join(parts)}" if parts else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
