"""The reference of the manifest in Markdown, generated from the models.

python -m nas_api.reference -o docs/reference [--check]
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from nas_api.generation import write_or_check
from nas_api.spec import NASPool, NASSearch
from nas_api.spec.nassearch import IMMUTABLE_FIELDS
from nas_api.spec.schema import Schema, describe, inlined_schema, without_null

_NASSEARCH_EXAMPLE = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata:
  name: digits
spec:
  searchSpace:
    convNet:
      layers: {initial: 4, max: 8}
      filters: [8, 16, 32]
  trainer:
    epochs: 10
  pools:
  - name: default
    replicas: 2
  budget:
    maxTrials: 60
"""
_NASPOOL_EXAMPLE = """\
$ kubectl get naspools
$ kubectl scale naspool/digits-default --replicas=4
"""


def reference(model: type[BaseModel], introduction: str, example: str, language: str) -> str:
    """The page of one kind: a table of fields for each mapping."""
    schema = inlined_schema(model)
    name = model.__name__
    lines = [
        f"# {name}",
        "",
        f"<!-- Generated from the models in nas_api.spec by `python -m {__spec__.name}`. Do not edit. -->",
        "",
        _text(schema["description"]),
        "",
        introduction,
        "",
        f"```{language}",
        *example.splitlines(),
        "```",
        "",
    ]
    for path, section in _sections("", schema):
        lines += [f"## {path or 'Top level'}", ""]
        if path:
            # The first paragraph is in the table above; the others are the mapping's own.
            first, _, own = section["description"].partition("\n\n")
            lines += [_text(own or first), ""]
        lines += ["| Field | Type | Default | Description |", "|---|---|---|---|"]
        required = section.get("required", ())
        for field, child in section["properties"].items():
            lines.append(_row(f"{path}.{field}".lstrip("."), field, child, required=field in required))
        lines.append("")
    return "\n".join(lines)


def _sections(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema["properties"].items():
        below = _mapping(child)
        if below is not None:
            suffix, inner = below
            yield from _sections(f"{path}.{name}{suffix}".lstrip("."), inner)


def _mapping(schema: Schema) -> tuple[str, Schema] | None:
    """The mapping with named fields that a field holds, itself or as the items of a list."""
    plain = without_null(schema)
    if "properties" in plain:
        return "", plain
    items = plain.get("items", {})
    return ("[]", items) if "properties" in items else None


def _row(path: str, name: str, schema: Schema, *, required: bool) -> str:
    below = _mapping(schema)
    if below is None:
        kind, default = describe(schema), _default(schema)
    else:
        target = f"{path}{below[0]}"
        anchor = "".join(character for character in target.lower() if character.isalnum())
        kind = f"[{'list of ' if below[0] else ''}mapping{'s' if below[0] else ''}](#{anchor})"
        default = _default(schema) if below[0] else ""
    if required:
        default = "required"
    first, _, _ = schema.get("description", "").partition("\n\n")
    return f"| `{name}` | {_cell(kind)} | {default} | {_cell(_text(first))} |"


def _default(schema: Schema) -> str:
    default: Any = schema.get("default")
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, list) and any(isinstance(item, dict) for item in default):
        return f"one named `{default[0]['name']}`"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _text(description: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in description.split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def reference_files() -> dict[str, str]:
    """The pages by file name."""
    return {
        "nassearch.md": reference(
            NASSearch,
            "Every field but `apiVersion`, `kind` and `metadata.name` has a default; those of the method are the "
            "paper's. The same file runs on one machine (`nas run FILE`) and on a cluster (`kubectl apply -f FILE`). "
            "Unknown fields are errors. Immutable once a search has begun: "
            f"{', '.join(f'`{field}`' for field in IMMUTABLE_FIELDS)}.",
            _NASSEARCH_EXAMPLE,
            "yaml",
        ),
        "naspool.md": reference(
            NASPool,
            "A search makes one NASPool for each entry of its `spec.pools`; nobody writes one by hand. It has a "
            "`/scale` subresource, so that `kubectl scale`, a HorizontalPodAutoscaler or KEDA can change the number of "
            "workers.",
            _NASPOOL_EXAMPLE,
            "console",
        ),
    }


if __name__ == "__main__":
    sys.exit(write_or_check(reference_files(), "Writes the reference of NASSearch and NASPool in Markdown."))
