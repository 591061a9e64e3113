"""Whether two manifests are of the same search."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from nas_api.manifest.problems import format_path
from nas_api.spec.nassearch import IMMUTABLE_FIELDS, NASSearch
from nas_api.spec.schema import FieldPath

_LONGEST = 100  # characters of a value


def immutable_differences(old: NASSearch, new: NASSearch) -> list[str]:
    """The fields that must stay as they are in the life of a search, and do not.

    Its journal holds results that depend on them. Anything else (budget, pools, suspend, most of the trainer ...) may
    change between two runs. A default that is written out is no difference.

    Returns:
        For each field its path and both values, such as `spec.seed: 0 became 1`.
    """
    before, after = (search.model_dump(mode="json", by_alias=True, exclude={"status"}) for search in (old, new))
    fields: list[FieldPath] = [("metadata", "name"), ("metadata", "namespace")]
    # The API server does not see what is in an architecture: the controller refuses a change on a cluster.
    fields += [("spec", *name.split(".")) for name in (*IMMUTABLE_FIELDS, "controller.bootstrap")]
    return [
        f"{format_path(path)}: {_written(was)} became {_written(is_now)}"
        for field in fields
        for path, was, is_now in _differences(field, _value(before, field), _value(after, field))
    ]


def _written(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _value(value: Any, path: FieldPath) -> Any:
    for part in path:
        value = value[part]
    return value


def _differences(path: FieldPath, old: Any, new: Any) -> Iterator[tuple[FieldPath, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences((*path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(item, dict) for item in old + new):
        for index, (was, is_now) in enumerate(zip_longest(old, new)):
            yield from _differences((*path, index), was, is_now)
    elif old != new:
        yield path, old, new
