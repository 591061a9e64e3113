"""What all models of the manifest share: camelCase names, no unknown fields, bounded sizes, quantities."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class SpecModel(BaseModel):
    """Base of every model of the manifest.

    Names are snake_case in Python and camelCase in YAML, as Kubernetes' API conventions ask. Unknown fields are
    errors: a misspelt field that is ignored costs GPU hours.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


# One group is one number and its unit, as in Go's time.ParseDuration, which Kubernetes uses for durations.
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_DURATION_GROUP = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")

_LONGEST_DURATION = 87_600 * 3600.0

# Kubernetes' resource.Quantity without the exponent form: 2Gi, 500M, 1.5, 200m.
_QUANTITY_UNITS = {
    "m": 1e-3, "": 1.0,
    "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
}  # fmt: skip
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"


def parse_duration(text: str) -> timedelta:
    """The length of time that `text` names, such as `90s`, `1h30m` or `250ms`.

    Raises:
        ValueError: `text` is not of that form, or names no time at all or more than ten years.
    """
    if not re.match(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write numbers with units, such as 90s, 45m or 1h30m")
    seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_GROUP.findall(text))
    if not 0 < seconds <= _LONGEST_DURATION:
        raise ValueError(f"{text!r} is not a duration above zero and of at most ten years (87600h)")
    return timedelta(seconds=seconds)


def parse_quantity(text: str) -> float:
    """The number that a Kubernetes quantity names: `2Gi` is 2147483648.0, `500m` is 0.5.

    Raises:
        ValueError: `text` is not of that form.
    """
    if not re.match(QUANTITY_PATTERN, text):
        raise ValueError(f"{text!r} is not a quantity: write a number with a unit, such as 500M, 2Gi or 4")
    number = text.rstrip("mkMGTPi")
    return float(number) * _QUANTITY_UNITS[text[len(number) :]]


@dataclass(frozen=True, slots=True)
class NoneAs:
    """Marks an integer or None that has a default: None is written as `word`.

    null would not do, since it gets lost on its way to a cluster: `kubectl apply` leaves it out, and the API server
    then sets the default.
    """

    word: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Reads and writes the word; null is no integer."""
        return core_schema.no_info_before_validator_function(
            self._read,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self._written),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """An alternative of the integer and the word."""
        integer, _ = handler(schema)["anyOf"]
        return {"anyOf": [integer, {"type": "string", "const": self.word}]}

    def _read(self, value: object) -> object:
        if value is None:
            raise PydanticKnownError("int_type")
        return None if value == self.word else value

    def _written(self, value: int | None) -> int | str:
        return self.word if value is None else value


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


def _check_quantity(text: str) -> str:
    parse_quantity(text)
    return text


def _whole_number_as_text(value: object) -> object:
    # As Kubernetes does: `cpu: 4` is what people write.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# `format` says to the reference, to error messages and to the CRD what the pattern says to a machine.
Duration = Annotated[
    str,
    Field(max_length=32, json_schema_extra={"format": "duration", "pattern": DURATION_PATTERN}),
    AfterValidator(_check_duration),
]
Quantity = Annotated[
    str,
    Field(max_length=32, json_schema_extra={"format": "quantity", "pattern": QUANTITY_PATTERN}),
    AfterValidator(_check_quantity),
    BeforeValidator(_whole_number_as_text),
]
# RFC 1123, as Kubernetes checks names of objects and of labels.
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DnsLabel = Annotated[
    str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN, json_schema_extra={"format": "dns-label"})
]
# Names of pods are made of it: 253 would be allowed for the object, 52 leaves room for pool, slot and hash.
SearchName = Annotated[
    str, Field(min_length=1, max_length=52, pattern=NAME_PATTERN, json_schema_extra={"format": "dns-label"})
]
ShortText = Annotated[str, Field(min_length=1, max_length=253)]
LongText = Annotated[str, Field(min_length=1, max_length=1024)]
