"""`spec.searchSpace.discrete`: named choices, some of them repeated, some made only if others came out so.

The list is flat but for repeats, whose choices stand in them. Two levels are what a stack of layers needs, and what
an API server's schema, which knows no recursion, can have.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, model_validator

from nas_api.spec.base import SpecModel

MOST_DECISIONS = 1000
MOST_ROUNDS = 100
_MOST_STATES = 10_000  # told apart in counting a space


def _integer_if_whole(value: bool | int | float | str) -> bool | int | float | str:
    # As on a cluster, where 1.0 becomes 1 on its way.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else value


ChoiceName = Annotated[
    str,
    Field(
        min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", json_schema_extra={"format": "choice-name"}
    ),
]
ChoiceValue = Annotated[
    bool
    | Annotated[int, Ge(-(2**53)), Le(2**53)]
    | float
    | Annotated[str, Field(min_length=1, max_length=253)],
    Field(json_schema_extra={"format": "choice-value"}),
    AfterValidator(_integer_if_whole),
]  # fmt: skip
_Offered = dict[str, tuple[ChoiceValue, ...]]
_Condition = ChoiceValue | Annotated[tuple[ChoiceValue, ...], Field(min_length=1, max_length=64)]
Conditions = dict[Annotated[str, Field(max_length=63)], _Condition]


class Choice(SpecModel):
    """One named choice."""

    name: ChoiceName
    """Its name, under which the task finds what was chosen."""
    values: Annotated[tuple[ChoiceValue, ...], Field(min_length=1, max_length=64)]
    """What can be chosen: numbers, texts, true and false. A single one is fixed: the policy has nothing to decide."""
    when: Conditions = Field(default={}, max_length=8)
    """It is made only if each of the earlier choices named here has come out as the value, or one of the values, given.
    In a repeat, the name of another choice of it means that of the same round."""

    def holds(self, chosen: Mapping[str, ChoiceValue]) -> bool:
        """Whether the choice is to be made, given what was chosen before it."""
        return _holds(self.when, chosen)


class ChoiceOrRepeat(SpecModel):
    """A choice (`name`, `values`), or choices that are made again and again (`name`, `repeat`, `choices`)."""

    name: ChoiceName
    """Its name, under which the task finds what was chosen."""
    values: tuple[ChoiceValue, ...] = Field(default=(), max_length=64)
    """What can be chosen: numbers, texts, true and false. A single one is fixed: the policy has nothing to decide."""
    when: Conditions = Field(default={}, max_length=8)
    """It is made only if each of the earlier choices named here has come out as the value, or one of the values,
    given."""
    repeat: Annotated[int, Ge(1), Le(MOST_ROUNDS)] | ChoiceName | None = None
    """How many times `choices` are made: a number, or the name of an earlier choice whose values are numbers."""
    choices: tuple[Choice, ...] = Field(default=(), max_length=32)
    """The choices of a round, for example those of a layer. All rounds share what the policy has learnt of them."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.repeat is None) != (not self.choices):
            raise ValueError(
                f"{self.name!r}: repeat and choices go together: a repeat needs choices, and choices a repeat"
            )
        if bool(self.values) == bool(self.choices):
            raise ValueError(f"{self.name!r}: give it values, or repeat and choices")
        return self

    def holds(self, chosen: Mapping[str, ChoiceValue]) -> bool:
        """Whether it is to be made, given what was chosen before it."""
        return _holds(self.when, chosen)

    def rounds(self, chosen: Mapping[str, ChoiceValue]) -> int:
        """How often a repeat is made, given what was chosen before it: not at all, if the number was not chosen."""
        number = chosen.get(self.repeat, 0) if isinstance(self.repeat, str) else self.repeat
        assert isinstance(number, int)
        return number


def _holds(when: Conditions, chosen: Mapping[str, ChoiceValue]) -> bool:
    return all(name in chosen and chosen[name] in _as_tuple(values) for name, values in when.items())


def _as_tuple(values: ChoiceValue | tuple[ChoiceValue, ...]) -> tuple[ChoiceValue, ...]:
    return values if isinstance(values, tuple) else (values,)


class DiscreteSpace(SpecModel):
    """Whatever a task of your own can train, as a sequence of named choices.

    A stack of transformer layers, for example, is a choice `depth` with values [2, 4, 6] and a repeat `layers` of
    `depth` rounds with the choices `heads`, `ratio` and `activation`.
    """

    choices: tuple[ChoiceOrRepeat, ...] = Field(default=(), max_length=64)
    """The choices in the order in which they are made."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        names = [entry.name for entry in self.choices]
        _refuse_twice(names, "two choices are named")
        before: _Offered = {}
        longest = 0
        for entry in self.choices:
            _check_conditions(entry, before, self)
            if not entry.choices:
                _check_values(entry.name, entry.values)
                before[entry.name] = entry.values
                longest += 1
                continue
            inner = [choice.name for choice in entry.choices]
            _refuse_twice(inner, f"two choices of {entry.name} are named")
            within = dict(before)
            for choice in entry.choices:
                if choice.name in names:
                    raise ValueError(f"a choice of {entry.name} and one outside of it are both named {choice.name!r}")
                _check_conditions(choice, within, self)
                _check_values(choice.name, choice.values)
                within[choice.name] = choice.values
            if all(choice.when for choice in entry.choices):
                raise ValueError(f"all choices of {entry.name} have conditions: a round could have none")
            longest += len(inner) * _most_rounds(entry, before, self)
        if longest > MOST_DECISIONS:
            raise ValueError(
                f"an architecture could have {longest:,} choices, and at most {MOST_DECISIONS:,} can be learnt"
            )
        return self

    def size(self) -> int | None:
        """How many architectures there are; None: so much depends on so much that it would take long to tell."""
        return _count(self.choices, {})


_State = tuple[tuple[str, ChoiceValue], ...]


def _count(entries: Sequence[Choice | ChoiceOrRepeat], outside: Mapping[str, ChoiceValue]) -> int | None:
    """In how many ways `entries` can come out, given what was chosen outside of them."""
    # The ways so far, by what was chosen of that which something later depends on.
    counts: Counter[_State] = Counter({(): 1})
    for index, entry in enumerate(entries):
        needed = _depended_on(entries[index + 1 :])
        grown: Counter[_State] = Counter()
        for state, count in counts.items():
            chosen = {**outside, **dict(state)}
            kept = tuple((name, value) for name, value in state if name in needed)
            if not entry.holds(chosen):
                grown[kept] += count
            elif isinstance(entry, ChoiceOrRepeat) and entry.choices:
                ways = _count(entry.choices, chosen)
                if ways is None:
                    return None
                grown[kept] += count * ways ** entry.rounds(chosen)
            elif entry.name in needed:
                for value in entry.values:
                    grown[*kept, (entry.name, value)] += count
            else:
                grown[kept] += count * len(entry.values)
        if len(grown) > _MOST_STATES:
            return None
        counts = grown
    return counts.total()


def _depended_on(entries: Iterable[Choice | ChoiceOrRepeat]) -> set[str]:
    names: set[str] = set()
    for entry in entries:
        names |= entry.when.keys()
        if isinstance(entry, ChoiceOrRepeat):
            names.update(name for choice in entry.choices for name in choice.when)
            if isinstance(entry.repeat, str):
                names.add(entry.repeat)
    return names


def _refuse_twice(names: Iterable[str], what: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{what} {name!r}: names must be unique")


def _check_values(name: str, values: tuple[ChoiceValue, ...]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{name!r} lists a value twice: {_listed(values)}")


def _check_conditions(entry: Choice | ChoiceOrRepeat, before: _Offered, space: DiscreteSpace) -> None:
    for name, values in entry.when.items():
        if name not in before:
            raise ValueError(f"{entry.name!r} has a condition on {name!r}, {_why_not_before(name, entry.name, space)}")
        for value in _as_tuple(values):
            if value not in before[name]:
                raise ValueError(
                    f"{entry.name!r} has a condition on {name!r} being {value!r}, "
                    f"and its values are {_listed(before[name])}"
                )


def _most_rounds(entry: ChoiceOrRepeat, before: _Offered, space: DiscreteSpace) -> int:
    if isinstance(entry.repeat, int):
        return entry.repeat
    assert entry.repeat is not None
    if entry.repeat not in before:
        raise ValueError(
            f"{entry.name!r} is repeated {entry.repeat!r} times, {_why_not_before(entry.repeat, entry.name, space)}"
        )
    most = 0
    for value in before[entry.repeat]:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_ROUNDS:
            raise ValueError(
                f"{entry.name!r} is repeated {entry.repeat!r} times, and {value!r} is no number from 0 to {MOST_ROUNDS}"
            )
        most = max(most, value)
    return most


def _why_not_before(name: str, user: str, space: DiscreteSpace) -> str:
    """Why the choice `user` cannot look back to a choice `name`."""
    repeats = [entry for entry in space.choices if entry.choices]
    if name == user:
        return "which is itself"
    if any(entry.name == name for entry in repeats):
        return "which is a repeat and has no value"
    if any(entry.name == name for entry in space.choices):
        return "which comes after it: only earlier choices can be looked at"
    own = next((entry for entry in repeats if user in {choice.name for choice in entry.choices}), None)
    for entry in repeats:
        if name in {choice.name for choice in entry.choices}:
            if entry is own:
                return "which comes after it: only earlier choices can be looked at"
            return f"which has another value in each round of {entry.name}: only the choices of it can look at it"
    return "and there is no such choice"


def _listed(values: Iterable[ChoiceValue]) -> str:
    return ", ".join(str(value) for value in values)
