"""`spec.controller.bootstrap`: architectures that a search begins with."""

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from nas_api.spec.base import SpecModel
from nas_api.spec.search_space import SpaceType

MOST_ARCHITECTURES = 64


class BootstrapArchitecture(SpecModel):
    """An architecture, as `nas show TRIAL -o yaml` prints it."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"maxProperties": 16})

    type: SpaceType
    """The type of the search space. The other fields are those of an architecture of this type."""

    @cached_property
    def architecture(self) -> Any:
        """The `Architecture`.

        Raises:
            pydantic.ValidationError: it is none.
        """
        from nas_api.architectures import parse_architecture

        return parse_architecture(self.model_dump_json())

    @model_validator(mode="after")
    def _is_an_architecture(self) -> Self:
        try:
            self.architecture  # noqa: B018 - it is made, and kept
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors())
            raise ValueError(f"is no {self.type}: {'; '.join(faults)}") from None
        return self


class Bootstrap(SpecModel):
    """Architectures that a search begins with: those of human designers, or the best of an earlier search.

    They are trained first. A policy is fitted to them before, by maximum likelihood, until it is a third as surprised
    at their decisions: it goes on from there, and stays able to find others. Algorithms without a policy have them in
    their history. `nas bootstrap` prints this section for the best architectures of a search.
    """

    architectures: Annotated[tuple[BootstrapArchitecture, ...], Field(max_length=MOST_ARCHITECTURES)] = ()
    """In the order in which they are trained. None by default."""

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        seen: dict[str, int] = {}
        for index, given in enumerate(self.architectures):
            first = seen.setdefault(given.architecture.digest, index)
            if first != index:
                raise ValueError(f"architectures[{index}] is the same network as architectures[{first}]: leave one out")
        return self
