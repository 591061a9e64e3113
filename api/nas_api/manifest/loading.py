"""`load_manifest`: from a file to a `NASSearch`, and back."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from nas_api.manifest.document import Document, read_documents, write_yaml
from nas_api.manifest.overrides import Override
from nas_api.manifest.problems import ManifestError, Problem
from nas_api.manifest.validation import problems_of
from nas_api.spec.nassearch import NASSearch
from nas_api.spec.schema import inlined_schema

MAX_BYTES = 1024 * 1024


def load_manifest(path: Path, overrides: Sequence[str] = ()) -> NASSearch:
    """The NASSearch in a YAML file. Objects of other kinds in the file are ignored.

    Args:
        path: of the file.
        overrides: fields to set, such as `spec.budget.maxTrials=20` or `spec.pools[0].replicas=2`; a later one wins.

    Raises:
        ManifestError: the file or an override cannot be used. All that is wrong is in it.
    """
    document = _nas_search(_read(path), str(path))
    if not isinstance(document.value, dict):
        raise ManifestError(document.problem((), "not a mapping with apiVersion, kind, metadata and spec"))
    schema = inlined_schema(NASSearch)
    problems = document.problems
    # Of a search that was read back from a cluster.
    document.value.pop("status", None)
    applied: list[Override] = []
    for text in overrides:
        try:
            override = Override.parse(text)
            override.apply(document.value, schema)
        except ManifestError as error:
            problems.extend(error.problems)
        else:
            applied.append(override)
    try:
        # As JSON, which is how a cluster reads it: "3" is not a number there, and names are in camelCase.
        search = NASSearch.model_validate_json(json.dumps(document.value), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        known = {problem.path for problem in problems}
        problems += [p for p in problems_of(error, document, applied, schema) if p.path not in known]
    if problems:
        raise ManifestError(*problems)
    return search


def dump_manifest(search: NASSearch) -> str:
    """YAML of `search` with the fields that were set, without defaults. `load_manifest` reads the same search."""
    value = search.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"status"})
    return write_yaml(value)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    if len(content) > MAX_BYTES:
        raise ManifestError(Problem(str(path), "larger than 1 MiB: this is hardly a manifest"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(Problem(str(path), f"not UTF-8 text (at byte {error.start})")) from error


def _nas_search(text: str, name: str) -> Document:
    """The one document that is a NASSearch. A single document of no kind is taken for one, to say what it lacks."""
    documents = read_documents(text, name)
    if not documents:
        raise ManifestError(Problem(name, "is empty: a manifest has apiVersion, kind, metadata and spec"))
    kinds = [d.value.get("kind") if isinstance(d.value, dict) else None for d in documents]
    searches = [document for document, kind in zip(documents, kinds, strict=True) if kind == "NASSearch"]
    if len(searches) == 1:
        return searches[0]
    if searches:
        lines = ", ".join(str(search.values[()].line) for search in searches)
        raise ManifestError(Problem(name, f"holds {len(searches)} NASSearches, in lines {lines}: leave one in it"))
    if len(documents) == 1 and kinds[0] is None:
        return documents[0]
    others = ", ".join(str(kind) for kind in kinds)
    raise ManifestError(Problem(name, f"holds no object of kind NASSearch, but {others}"))
