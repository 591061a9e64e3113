"""`Contestant`: an algorithm and its settings, as named on the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_api.manifest import ManifestError
from nas_api.manifest.overrides import Override
from nas_api.spec import NASSearch
from nas_api.spec.schema import Schema, inlined_schema, schema_at
from pydantic import ValidationError

from tabular_benchmark.table import Choices

METRIC = "objective"
"""The metric that trials report: the objective column."""

_SPEC = ("spec",)
_ALGORITHM = (*_SPEC, "controller", "algorithm")
# Where a setting without dots is looked for, after the member of the algorithm.
_SECTIONS = ((*_SPEC, "controller", "parallelism"), (*_SPEC, "controller", "policy"), (*_SPEC, "controller"))


class ContestantError(Exception):
    """An algorithm or one of its settings is not known or not valid; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """An algorithm with settings.

    Attributes:
        label: how results name it.
        algorithm: `spec.controller.algorithm.type`.
        overrides: settings, in the form of `nas run --set`.
    """

    label: str
    algorithm: str
    overrides: tuple[str, ...]


def parse_contestant(text: str) -> Contestant:
    """Parses `[LABEL=]NAME[:SETTING=VALUE,...]`, such as `random` or `tuned=REINFORCE:learningRate=0.01,batchSize=4`.

    NAME is an algorithm of the manifest, in any case. A setting is a field of that algorithm, of
    `controller.parallelism` or of `controller.policy`, or the path of any field of the manifest's `spec`.

    Raises:
        ContestantError: there is no such algorithm or setting.
    """
    head, _, tail = text.partition(":")
    label, _, name = head.rpartition("=")
    schema = inlined_schema(NASSearch)
    types: Sequence[str] = (schema_at(schema, (*_ALGORITHM, "type")) or {})["enum"]
    algorithm = next((each for each in types if each.casefold() == name.strip().casefold()), None)
    if algorithm is None:
        raise ContestantError(f"{text!r}: there is no algorithm {name!r}, but {', '.join(types)}")
    overrides = []
    for setting in filter(None, tail.split(",")):
        field, equals, value = setting.partition("=")
        if not equals:
            raise ContestantError(f"{text!r}: {setting!r} is not of the form SETTING=VALUE")
        overrides.append(f"{_path(schema, algorithm, field.strip(), text)}={value}")
    return Contestant(label or text, algorithm, tuple(overrides))


def _path(schema: Schema, algorithm: str, field: str, text: str) -> str:
    """The path in the manifest of a setting of an algorithm."""
    if "." in field:
        return field if field.startswith("spec.") else f"spec.{field}"
    members = (schema_at(schema, _ALGORITHM) or {}).get("properties", {})
    member = next((name for name in members if name.casefold() == algorithm.casefold()), None)
    known: list[str] = []
    for section in ((*_ALGORITHM, member), *_SECTIONS) if member else _SECTIONS:
        names = (schema_at(schema, section) or {}).get("properties", {})
        if field in names:
            return ".".join((*section, field))
        known += names
    raise ContestantError(f"{text!r}: {algorithm} has no setting {field!r}, but {', '.join(known)}")


def build_manifest(
    contestant: Contestant,
    choices: Choices,
    *,
    seed: int,
    scale: float = 1.0,
    exponent: float = 1.0,
    failed: float = 0.0,
) -> NASSearch:
    """A search by a contestant that never ends by itself.

    The reward is `scale * objective ^ exponent`, and `failed` of a trial that fails; the space is Discrete, with
    the given values of each decision.

    Raises:
        ContestantError: a setting is not valid.
    """
    space = [{"name": name, "values": list(values)} for name, values in choices.items()]
    return manifest_of(
        contestant,
        {
            "searchSpace": {"type": "Discrete", "discrete": {"choices": space}},
            "trainer": {"task": "table:look_up"},
            "reward": {"metric": METRIC, "scale": scale, "exponent": exponent, "failedTrial": {"reward": failed}},
            "budget": {"maxTrials": "unlimited", "maxConsecutiveFailures": 1_000_000},
            "seed": seed,
        },
    )


def manifest_of(contestant: Contestant, spec: Mapping[str, Any]) -> NASSearch:
    """The search of a contestant in the space, by the training and with the reward of `spec`.

    Raises:
        ContestantError: a setting is not valid.
    """
    document: dict[str, Any] = {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": "benchmark"},
        "spec": {**spec, "controller": {"algorithm": {"type": contestant.algorithm}}},
    }
    schema = inlined_schema(NASSearch)
    try:
        for override in contestant.overrides:
            Override.parse(override).apply(document, schema)
        return NASSearch.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)
    except ManifestError as error:
        raise ContestantError(f"{contestant.label}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ContestantError(f"{contestant.label}: {wrong}") from error
