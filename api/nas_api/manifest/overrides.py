"""`--set path=value`: one field of a manifest, from the command line."""

import re
from dataclasses import dataclass
from typing import Any

from nas_api.manifest.document import read_documents
from nas_api.manifest.problems import ManifestError, Problem, format_path
from nas_api.spec.schema import FieldPath, Schema, schema_at, without_null

# A name in quotes and brackets, an index in brackets, or a name up to the next dot, where \. stands for a dot.
_PART = re.compile(r'\["(?P<quoted>[^"]*)"\]|\[(?P<index>\d{1,9})\]|(?P<name>(?:[^.\[\]\\=]|\\.)+)')


@dataclass(frozen=True, slots=True)
class Override:
    """One `path=value` as the user wrote it."""

    text: str
    path: FieldPath
    value: Any

    @property
    def source(self) -> str:
        """How a message names it."""
        return f"--set {self.text}"

    @classmethod
    def parse(cls, text: str) -> "Override":
        """Parses such as `spec.pools[0].resources["nvidia.com/gpu"]=1`; the value is YAML.

        Raises:
            ManifestError: `text` is not of that form.
        """
        path: list[str | int] = []
        position = 0
        while match := _PART.match(text, position):
            quoted, index, name = match.groups()
            if index is not None:
                path.append(int(index))
            elif quoted is not None:
                path.append(quoted)
            else:
                # `pools.0.name` is what some tools write for pools[0].name.
                path.append(int(name) if path and name.isdecimal() else re.sub(r"\\(.)", r"\1", name))
            position = match.end()
            if text[position : position + 1] == ".":
                position += 1
        given = text[position + 1 :]
        if not path or text[position : position + 1] != "=" or text[position - 1] == "." or not given.strip():
            raise ManifestError(
                Problem(f"--set {text}", "not of the form path=value, such as spec.budget.maxTrials=20")
            )
        try:
            documents = read_documents(given, "")
            problems = documents[0].problems if documents else []
        except ManifestError as error:
            documents, problems = [], list(error.problems)
        if problems or len(documents) > 1:
            message = problems[0].message if problems else "the value is more than one YAML document"
            raise ManifestError(Problem(f"--set {text}", message))
        return cls(text, tuple(path), documents[0].value if documents else None)

    def apply(self, root: Any, schema: Schema) -> None:
        """Sets the field in `root`, and makes what is missing on the way to it.

        Raises:
            ManifestError: `path` leads through something that has no fields, or to an index too far.
        """
        here = root
        for depth, part in enumerate(self.path):
            above = format_path(self.path[:depth]) or "the manifest"
            if isinstance(here, list):
                if not isinstance(part, int):
                    raise self._error(f"{above} is a list: name one of its items, such as {above}[0]")
                if part > len(here):
                    raise self._error(f"{above} has {len(here)} items, so that the next to add is {above}[{len(here)}]")
                if part == len(here):
                    here.append(None)
            elif not isinstance(here, dict):
                raise self._error(f"{above} is {here!r} and has no fields")
            elif isinstance(part, int):
                raise self._error(f"{above} is a mapping, not a list")
            if depth == len(self.path) - 1:
                here[part] = self.value
                return
            below = here.get(part) if isinstance(here, dict) else here[part]
            if below is None:
                # A list that is not in the file starts as its default: pools[0] is the pool that would be there.
                field = schema_at(schema, self.path[: depth + 1]) or {}
                is_list = without_null(field).get("type") == "array"
                below = here[part] = list(field.get("default") or ()) if is_list else {}
            here = below

    def _error(self, message: str) -> ManifestError:
        return ManifestError(Problem(self.source, message))
