"""Reading YAML: plain values, and where in the file each of them stands.

What a value means follows kubectl, so that a manifest means the same here and on a cluster: YAML 1.2 with the YAML 1.1
booleans (`no`, `off`). Where readers differ (010: eight or ten?) the value is an error.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from nas_api.manifest.problems import ManifestError, Problem, format_path
from nas_api.spec.schema import FieldPath

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark  # of libyaml

_TAG = "tag:yaml.org,2002:"
_MAX_DEPTH = 100
_MAX_NODES = 100_000
_TOO_DEEP = f"more than {_MAX_DEPTH} levels of nesting"
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|[yYnN]", "tTfFyYnNoO"),
    ("int", r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 # PyYAML copies it for each class


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {}  # noqa: RUF012

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 # PyYAML's signature
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes Unicode's own line breaks as they are, and reads them as spaces, unless they are in double quotes.
    return dumper.represent_scalar(_TAG + "str", text, style='"' if set(text) & set("\x85\u2028\u2029") else None)


_Dumper.add_representer(str, _represent_text)
for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        # An empty scalar is found under the first letter "".
        _letters = [*_first, ""] if _tag == "null" else [*_first]
        _class.add_implicit_resolver(_TAG + _tag, re.compile(f"^(?:{_pattern})$"), _letters)


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands in a file, from 1, and how it is written (a scalar) there."""

    line: int
    column: int
    text: str = ""


@dataclass(slots=True)
class Document:
    """One document of a YAML stream.

    Attributes:
        name: of the file.
        value: mappings, lists and scalars.
        keys: position of the key of each field.
        values: position of each value.
        problems: what is wrong with it as YAML. `value` is what could be read nevertheless.
    """

    name: str
    value: Any = None
    keys: dict[FieldPath, Position] = field(default_factory=dict)
    values: dict[FieldPath, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: FieldPath, message: str, *, at_key: bool = False) -> Problem:
        """A problem of the field at `path`, placed at the nearest field above it that is in the file."""
        for length in range(len(path), -1, -1):
            above = path[:length]
            position = self.keys.get(above) if at_key else None
            position = position or self.values.get(above)
            if position is not None:
                return Problem(self.name, message, format_path(path), position.line, position.column)
            at_key = True
        return Problem(self.name, message, format_path(path))


def read_documents(text: str, name: str) -> list[Document]:
    """The documents of `text` that are not empty.

    Raises:
        ManifestError: `text` is no YAML, or is too deep or too large when its aliases are written out.
    """
    try:
        _check_depth(text, name)
        return [
            _Reader(name).read(node)
            for node in yaml.compose_all(text, Loader=_Loader)
            if not (isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "null")
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        if _character(text, mark) == "\t":
            message = "a tab, where YAML is indented with spaces"
        raise ManifestError(_problem(name, mark, f"not YAML: {message}")) from error
    except yaml.YAMLError as error:
        raise ManifestError(_problem(name, None, f"not YAML: {str(error).splitlines()[0]}")) from error


def write_yaml(value: Any) -> str:
    """YAML of `value` that every reader takes for the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


def _problem(name: str, mark: "yaml.Mark | CMark | None", message: str, path: FieldPath = ()) -> Problem:
    if mark is None:
        return Problem(name, message, format_path(path))
    return Problem(name, message, format_path(path), mark.line + 1, mark.column + 1)


def _character(text: str, mark: "yaml.Mark | CMark | None") -> str:
    lines = text.split("\n")
    return lines[mark.line][mark.column : mark.column + 1] if mark is not None and mark.line < len(lines) else ""


def _check_depth(text: str, name: str) -> None:
    # The parser gives events one by one; to compose them into nodes takes stack for each level.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ManifestError(_problem(name, event.start_mark, _TOO_DEEP))


class _Reader:
    def __init__(self, name: str) -> None:
        self._document = Document(name)
        self._nodes = 0

    def read(self, node: yaml.Node) -> Document:
        self._document.value = self._value(node, ())
        return self._document

    def _value(self, node: yaml.Node, path: FieldPath) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            self._give_up(node, path, f"more than {_MAX_NODES:,} values when aliases are written out")
        # An alias to something above it never ends.
        if len(path) > _MAX_DEPTH:
            self._give_up(node, path, _TOO_DEEP)
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        self._document.values[path] = Position(node.start_mark.line + 1, node.start_mark.column + 1, text)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        value: dict[str, Any] = {}
        given: dict[str, yaml.Node] = {}
        merged: list[yaml.MappingNode] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged.extend(self._merged(value_node, path))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key must be text")
                continue
            key = key_node.value
            here = (*path, key)
            if key_node.tag in (_TAG + "bool", _TAG + "null"):
                self._problem(key_node, here, f"the key {key!r} is not text in YAML: put it in quotes")
            if key in given:
                first = given[key].start_mark
                self._problem(key_node, here, f"given twice, first in line {first.line + 1}")
                continue
            given[key] = key_node
            value[key] = self._field(key_node, value_node, here)
        for other in merged:
            for key_node, value_node in other.value:
                if isinstance(key_node, yaml.ScalarNode) and key_node.value not in value:
                    value[key_node.value] = self._field(key_node, value_node, (*path, key_node.value))
        return value

    def _field(self, key: yaml.ScalarNode, value: yaml.Node, path: FieldPath) -> Any:
        self._document.keys[path] = Position(key.start_mark.line + 1, key.start_mark.column + 1, key.value)
        return self._value(value, path)

    def _merged(self, node: yaml.Node, path: FieldPath) -> Iterator[yaml.MappingNode]:
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(one, yaml.MappingNode):
                yield one
            else:
                self._problem(one, path, "<< merges mappings only")

    def _scalar(self, node: yaml.Node, path: FieldPath) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() in ("true", "yes", "on", "y")
            case "int" if len(text) > 100:
                self._problem(node, path, "a number of more than 100 digits")
            case "int":
                try:
                    return int(text.replace("_", ""), 0)
                except ValueError:
                    self._problem(
                        node, path, f"{text} can be read as octal or as decimal: write it without the leading zero"
                    )
            case "float":
                number = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
                if not math.isfinite(number):
                    self._problem(node, path, f"{text[:40]} is not a finite number")
                elif "." not in text and number.is_integer():
                    return int(number)
                else:
                    return number
            case "str" | "merge":
                return text
            case tag:
                self._problem(node, path, f"the tag {tag} is not allowed")
        return None

    def _problem(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        self._document.problems.append(_problem(self._document.name, node.start_mark, message, path))

    def _give_up(self, node: yaml.Node, path: FieldPath, message: str) -> NoReturn:
        self._problem(node, path[:8], message)
        raise ManifestError(*self._document.problems)
