"""`DiscreteSpace`: any sequence of named choices, some of them repeated or conditional."""

from collections.abc import Generator, Iterator

from nas_api import spec
from nas_api.architectures import Architecture, Decision, Discrete
from nas_api.spec.discrete_space import ChoiceValue

from nas_controller.spaces.space import Kind, Space, Step, are_ordered, check_type


class DiscreteSpace(Space):
    """The choices of a manifest in their order, the rounds of a repeat one after the other.

    All rounds share the kind of a choice, `layers.heads`. A choice with a single value is no decision, but the
    architecture has it. A choice whose condition does not hold is left out of both.
    """

    def __init__(self, space: spec.DiscreteSpace) -> None:
        self._space = space
        choices = [
            (_kind_name(entry, choice), choice.values)
            for entry in space.choices
            for choice in (entry.choices or (entry,))
        ]
        self.kinds = tuple(
            Kind(name, len(values), ordered=are_ordered(values)) for name, values in choices if len(values) > 1
        )
        self._steps = {kind.name: Step(index) for index, kind in enumerate(self.kinds)}
        # Decisions are immutable and few: each is made and checked once.
        self._decisions: dict[tuple[str, int], Decision] = {}

    def depth(self, sampled: int) -> int:  # noqa: ARG002 - there is no schedule
        """Always 1: how much there is to choose depends on what is chosen."""
        return 1

    def walk(self, depth: int) -> Generator[Step, int, Architecture]:
        """The decisions of an architecture.

        Raises:
            ValueError: `depth` is not 1.
        """
        if depth != 1:
            raise ValueError(f"the space has no depth but 1, and {depth} is asked for")
        decisions: list[Decision] = []
        chosen: dict[str, ChoiceValue] = {}
        for entry, choice, name in self._course(chosen):
            kind = _kind_name(entry, choice)
            index = (yield self._steps[kind]) if kind in self._steps else 0
            chosen[choice.name] = choice.values[index]
            if (name, index) not in self._decisions:
                self._decisions[name, index] = Decision(name=name, value=choice.values[index])
            decisions.append(self._decisions[name, index])
        # What is built of the space's own choices is valid; checking it would take most of the time of sampling.
        return Discrete.model_construct(decisions=tuple(decisions))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The decisions that lead to `architecture`.

        Raises:
            ValueError: the architecture is not in this space; the message names the choice.
        """
        decisions: list[int] = []
        given = iter(check_type(architecture, Discrete).decisions)
        chosen: dict[str, ChoiceValue] = {}
        for entry, choice, name in self._course(chosen):
            decision = next(given, None)
            if decision is None or decision.name != name:
                found = f"comes {decision.name!r}" if decision else "is nothing more"
                raise ValueError(f"there {found} where {name!r} must be chosen")
            if decision.value not in choice.values:
                allowed = ", ".join(str(value) for value in choice.values)
                raise ValueError(f"{name} is {decision.value}, not one of {allowed}")
            chosen[choice.name] = decision.value
            if _kind_name(entry, choice) in self._steps:
                decisions.append(choice.values.index(decision.value))
        if (rest := next(given, None)) is not None:
            raise ValueError(f"{rest.name!r} is not to be chosen, given what was chosen before it")
        return tuple(decisions)

    def _course(
        self, chosen: dict[str, ChoiceValue]
    ) -> Iterator[tuple[spec.ChoiceOrRepeat, spec.Choice | spec.ChoiceOrRepeat, str]]:
        """Each choice as its turn comes, with what it stands in and the name of its decision.

        Args:
            chosen: values by name, which whoever asks adds each choice's value to before the next. In a repeat they are
                those of the current round.
        """
        for entry in self._space.choices:
            if not entry.holds(chosen):
                continue
            if not entry.choices:
                yield entry, entry, entry.name
                continue
            for number in range(entry.rounds(chosen)):
                for choice in entry.choices:
                    if choice.holds(chosen):
                        yield entry, choice, f"{entry.name}.{number}.{choice.name}"
                for choice in entry.choices:
                    chosen.pop(choice.name, None)


def _kind_name(entry: spec.ChoiceOrRepeat, choice: spec.Choice | spec.ChoiceOrRepeat) -> str:
    return f"{entry.name}.{choice.name}" if entry.choices else choice.name
