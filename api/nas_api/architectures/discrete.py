"""`Discrete`: a sequence of named choices. What they mean is the business of the task that trains them."""

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nas_api.architectures.canonical_form import CanonicalForm
from nas_api.spec.base import SpecModel
from nas_api.spec.discrete_space import MOST_DECISIONS, ChoiceValue

DecisionName = Annotated[str, Field(min_length=1, max_length=200)]


class Decision(SpecModel):
    """One choice that was made."""

    name: DecisionName
    """As in the manifest; in round 2 of a repeat `layers` it is `layers.2.heads` for the choice `heads`."""
    value: ChoiceValue


class Discrete(CanonicalForm):
    """A sequence of choices."""

    type: Literal["Discrete"] = "Discrete"
    decisions: Annotated[tuple[Decision, ...], Field(min_length=1, max_length=MOST_DECISIONS)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: set[str] = set()
        for decision in self.decisions:
            if decision.name in seen:
                raise ValueError(f"{decision.name!r} is decided twice")
            seen.add(decision.name)
        return self

    @cached_property
    def choices(self) -> dict[str, ChoiceValue]:
        """The value of each decision by its name, `layers.2.heads` for one in a repeat."""
        return {decision.name: decision.value for decision in self.decisions}

    @cached_property
    def nested(self) -> dict[str, Any]:
        """The value of each choice by its name; of a repeat a list, with such a dict for each round.

        `{"width": 64, "layers": [{"heads": 2}, {"heads": 4}]}` is made of `width`, `layers.0.heads` and
        `layers.1.heads`. A repeat without rounds is not in it.
        """
        values: dict[str, Any] = {}
        for decision in self.decisions:
            repeat, _, rest = decision.name.partition(".")
            if not rest:
                values[repeat] = decision.value
                continue
            number, _, name = rest.partition(".")
            rounds: list[dict[str, Any]] = values.setdefault(repeat, [])
            # A round in which nothing was decided, since no condition held, is empty.
            rounds.extend({} for _ in range(int(number) + 1 - len(rounds)))
            rounds[int(number)][name] = decision.value
        return values

    def canonical(self) -> "Discrete":
        """Itself: two sequences of choices are the same if all of their values are."""
        return self
