"""What is wrong with a document as a `NASSearch`, in words: the value, and what is allowed."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nas_api.manifest.document import Document
from nas_api.manifest.overrides import Override
from nas_api.manifest.problems import Problem, format_path
from nas_api.spec.schema import FieldPath, Schema, describe, fields, schema_at, without_null


def problems_of(
    error: ValidationError, document: Document, overrides: Sequence[Override], schema: Schema
) -> list[Problem]:
    """One problem for each field that `error` is about, in the order of the file."""
    found: dict[FieldPath, Problem] = {}
    for detail in error.errors(include_url=False):
        path = _path_in(document.value, detail)
        if path in found:
            continue  # another member of the same union
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the valid items; the others are told on their own
        at_key = detail["type"] in ("extra_forbidden", "missing") or isinstance(detail["input"], dict)
        problem = document.problem(path, _message(detail, path, document, schema), at_key=at_key)
        override = _writer(path[:-1] if detail["type"] == "missing" else path, document, overrides)
        found[path] = Problem(override.source, problem.message, problem.path) if override else problem
    return list(found.values())


def _writer(path: FieldPath, document: Document, overrides: Sequence[Override]) -> Override | None:
    """The override that wrote the field at `path`, if it was not the file."""
    for override in reversed(overrides):
        if path[: len(override.path)] == override.path:
            return override
        if override.path[: len(path)] == path and path not in document.values:
            return override
    return None


def _path_in(value: Any, detail: ErrorDetails) -> FieldPath:
    """Where the error is in the document: its location without the members of unions that pydantic names in it."""
    path: list[str | int] = []
    for part in detail["loc"]:
        inside = isinstance(value, dict) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
            path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path)


def _message(detail: ErrorDetails, path: FieldPath, document: Document, schema: Schema) -> str:
    allowed = describe(schema_at(schema, path) or {})
    value = detail["input"]
    match detail["type"]:
        case "missing":
            return f"is required: {allowed}"
        case "extra_forbidden":
            return f"unknown field; {_suggestion(path, schema)}"
        case "value_error":
            return str(detail["ctx"]["error"])
    position = document.values.get(path)
    written = _shortened(position.text if position and position.text else json.dumps(value, ensure_ascii=False))
    if detail["type"] == "string_type" and isinstance(value, bool):
        return f"{written} is true or false in YAML, not {allowed}: put it in quotes"
    if isinstance(value, str) and not detail["type"].startswith("string") and detail["type"] != "literal_error":
        written = f"the text {value[:80]!r}"
    return f"{written} is not {allowed}"


def _suggestion(path: FieldPath, schema: Schema) -> str:
    parent, name = path[:-1], str(path[-1])
    siblings = list(without_null(schema_at(schema, parent) or {}).get("properties", {}))
    close = difflib.get_close_matches(name, siblings, n=1, cutoff=0.7)
    if not close:
        close = [sibling for sibling in siblings if sibling.lower() == name.lower().replace("_", "").replace("-", "")]
    if close:
        return f"did you mean {close[0]}?"
    elsewhere = [format_path(found) for found, _ in fields(schema) if found[-1] == name and found[0] == "spec"]
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere[:3])}?"
    return f"the fields here are {', '.join(siblings)}"


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
