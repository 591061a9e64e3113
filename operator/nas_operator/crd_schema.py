"""From JSON schema to the structural OpenAPI v3 schema that a CustomResourceDefinition must have.

A structural schema has one type at each place, so that alternatives become `nullable`, `x-kubernetes-int-or-string` or
anything at all (`x-kubernetes-preserve-unknown-fields`);
it has no `const` and no `propertyNames`; unknown fields are pruned rather than forbidden.
"""

import re
from typing import Any

from nas_api.spec.schema import Schema, is_nullable, without_null

_KEPT = (
    "type",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "minimum",
    "maximum",
    "required",
)


def structural_schema(schema: Schema, *, defaults: bool = True) -> Schema:
    """The structural form of `schema`, which has no references.

    Args:
        schema: of one object or field.
        defaults: whether the API server shall write defaults out. Not in `status`, which belongs to the operator.
    """
    plain = without_null(schema)
    result: Schema = {}
    if "description" in plain:
        result["description"] = _one_line(plain["description"])
    if defaults and plain.get("default") is not None:
        result["default"] = _without_nulls(plain["default"])
    if is_nullable(schema):
        result["nullable"] = True
    if "anyOf" in plain and {"boolean", "number", "array"} & {alternative.get("type") for alternative in _flat(plain)}:
        # Numbers with a fraction, text and lists in one place: there is no type for it.
        return result | {"x-kubernetes-preserve-unknown-fields": True}
    if "anyOf" in plain or plain.get("format") == "quantity":
        # `auto` or a number; `4` or `500m`.
        result |= {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
        return result | {key: plain[key] for key in ("pattern", "maxLength") if key in plain}
    result |= {key: plain[key] for key in _KEPT if key in plain}
    if "const" in plain:
        result["enum"] = [plain["const"]]
    if plain["type"] == "integer":
        result["format"] = "int64"
    if plain.get("format") == "date-time":
        result["format"] = "date-time"
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in plain:
            result |= {bound: plain[exclusive], exclusive: True}
    if "items" in plain:
        result["items"] = structural_schema(plain["items"], defaults=defaults)
        # To CEL the order in a set means nothing, so what must not be changed is no set.
        result["x-kubernetes-list-type"] = "set" if plain.get("uniqueItems") else "atomic"
    if "properties" in plain:
        result["properties"] = {
            name: structural_schema(child, defaults=defaults) for name, child in plain["properties"].items()
        }
        if plain.get("additionalProperties") is True:
            result["x-kubernetes-preserve-unknown-fields"] = True
    elif isinstance(values := plain.get("additionalProperties"), dict):
        result["additionalProperties"] = structural_schema(values, defaults=defaults)
    elif plain["type"] == "object":
        result["x-kubernetes-preserve-unknown-fields"] = True
    return result


def _flat(schema: Schema) -> list[Schema]:
    """The alternatives of `schema`, those within alternatives as well."""
    return [
        a for alternative in schema["anyOf"] for a in (_flat(alternative) if "anyOf" in alternative else [alternative])
    ]


def _one_line(text: str) -> str:
    """`text` with its lines joined; paragraphs stay apart."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))


def _without_nulls(value: Any) -> Any:
    # A null in a default would stand for "absent", which is what leaving it out says, too.
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
