"""`DiscreteSpace`: choices, conditions and repeats, and that decisions and architectures say the same."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, settings
from nas_api import spec
from nas_api.architectures import Discrete, parse_architecture
from nas_api.architectures.recurrent_cell import NAS_CELL
from nas_controller.spaces import DiscreteSpace, Kind, build_space
from pydantic import ValidationError

from tests.unit.controller.spaces.walking import every_architecture, names, walk_at_random


def described(*choices: dict[str, Any]) -> spec.DiscreteSpace:
    return spec.DiscreteSpace.model_validate({"choices": choices})


TRANSFORMER = described(
    {"name": "depth", "values": [1, 2]},
    {"name": "width", "values": [64]},
    {"name": "attention", "values": ["full", "local"]},
    {"name": "window", "values": [8, 16], "when": {"attention": "local"}},
    {
        "name": "layers",
        "repeat": "depth",
        "choices": [
            {"name": "heads", "values": [2, 4]},
            {"name": "gated", "values": [True, False]},
            {"name": "gate", "values": ["relu", "sigmoid"], "when": {"gated": True, "attention": ["local", "full"]}},
        ],
    },
    {"name": "tied", "values": [True, False]},
)

NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)


@st.composite
def specs(draw: st.DrawFn) -> spec.DiscreteSpace:
    """Small spaces with conditions on any earlier choice, and repeats by numbers and by choices."""
    entries: list[dict[str, Any]] = []
    offered: dict[str, list[int]] = {}

    def choice(name: str, offered: dict[str, list[int]]) -> dict[str, Any]:
        values = draw(NUMBERS)
        looked_at = draw(st.lists(st.sampled_from(sorted(offered)), max_size=2, unique=True)) if offered else []
        when = {n: draw(st.lists(st.sampled_from(offered[n]), min_size=1, unique=True)) for n in looked_at}
        offered[name] = values
        return {"name": name, "values": values, "when": when}

    for index in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            entries.append(choice(f"c{index}", offered))
            continue
        within = dict(offered)
        inner = [choice(f"i{index}{k}", within) for k in range(draw(st.integers(1, 3)))]
        inner[0]["when"] = {}
        repeat = draw(st.sampled_from([1, 2, *offered]))
        entries.append({"name": f"r{index}", "repeat": repeat, "choices": inner})
    return described(*entries)


@settings(deadline=None)
@given(specs(), st.integers(0, 2**32))
def test_every_walk_ends_in_a_valid_architecture_that_its_decisions_decode_to_and_that_encodes_to_them(
    description: spec.DiscreteSpace, seed: int
) -> None:
    space = DiscreteSpace(description)
    decisions, architecture = walk_at_random(space, 1, seed)

    assert parse_architecture(architecture.to_json()) == architecture
    assert space.decode(decisions, 1) == architecture
    assert space.encode(architecture) == decisions


@settings(deadline=None)
@given(specs())
def test_its_size_is_the_number_of_its_architectures_all_of_them_different(description: spec.DiscreteSpace) -> None:
    size = description.size()
    assert size is not None
    assume(size <= 500)
    digests = [architecture.digest for architecture in every_architecture(DiscreteSpace(description), 1)]
    assert len(digests) == len(set(digests)) == size


@settings(deadline=None)
@given(specs(), st.integers(0, 2**32), st.data())
def test_an_architecture_with_a_choice_left_out_or_changed_is_in_the_space_only_if_it_can_be_walked_to(
    description: spec.DiscreteSpace, seed: int, data: st.DataObject
) -> None:
    space = DiscreteSpace(description)
    _, architecture = walk_at_random(space, 1, seed)
    assert isinstance(architecture, Discrete)
    index = data.draw(st.integers(0, len(architecture.decisions) - 1))
    changed = list(architecture.decisions)
    if data.draw(st.booleans()):
        assume(len(changed) > 1)
        del changed[index]
    else:
        changed[index] = changed[index].model_copy(update={"value": data.draw(st.integers(0, 4))})
    other = Discrete(decisions=tuple(changed))
    try:
        decisions = space.encode(other)
    except ValueError:
        return
    assert space.decode(decisions, 1) == other


def test_the_rounds_of_a_repeat_share_their_kinds() -> None:
    space = build_space(
        spec.SearchSpace(type="Discrete", discrete=TRANSFORMER),
    )

    assert space.kinds == (
        Kind("depth", 2, ordered=True),
        Kind("attention", 2),
        Kind("window", 2, ordered=True),
        Kind("layers.heads", 2, ordered=True),
        Kind("layers.gated", 2),
        Kind("layers.gate", 2),
        Kind("tied", 2),
    )
    decisions = (1, 0, *(0, 0, 1), *(1, 1), 0)
    assert names(space, decisions, 1) == [
        "depth", "attention", "layers.heads", "layers.gated", "layers.gate", "layers.heads", "layers.gated", "tied"
    ]  # fmt: skip
    architecture = space.decode(decisions, 1)
    assert isinstance(architecture, Discrete)
    assert architecture.nested == {
        "depth": 2,
        "width": 64,  # a single value is no decision, and the task gets it all the same
        "attention": "full",
        "layers": [{"heads": 2, "gated": True, "gate": "sigmoid"}, {"heads": 4, "gated": False}],
        "tied": True,
    }


def test_a_choice_within_a_round_does_not_look_at_other_rounds() -> None:
    space = DiscreteSpace(
        described(
            {
                "name": "layers",
                "repeat": 2,
                "choices": [
                    {"name": "kind", "values": ["a", "b"]},
                    {"name": "size", "values": [1, 2], "when": {"kind": "b"}},
                ],
            }
        )
    )
    architecture = space.decode((1, 1, 0), 1)
    assert isinstance(architecture, Discrete)
    assert architecture.nested == {"layers": [{"kind": "b", "size": 2}, {"kind": "a"}]}


def test_there_is_one_depth() -> None:
    space = DiscreteSpace(TRANSFORMER)
    assert {space.depth(sampled) for sampled in (0, 10, 10_000)} == {1}
    with pytest.raises(ValueError, match="the space has no depth but 1, and 2 is asked for"):
        space.decode((), 2)


def architecture(**choices: object) -> Discrete:
    return Discrete.model_validate(
        {"decisions": [{"name": name.replace("__", "."), "value": value} for name, value in choices.items()]}
    )


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"depth": 1}, "there is nothing more where 'width' must be chosen"),
        ({"width": 64}, "there comes 'width' where 'depth' must be chosen"),
        ({"depth": 3}, "depth is 3, not one of 1, 2"),
        ({"depth": 1, "width": 32}, "width is 32, not one of 64"),
        (
            {"depth": 1, "width": 64, "attention": "full", "window": 8},
            "there comes 'window' where 'layers.0.heads' must be chosen",
        ),
        (
            {"depth": 1, "width": 64, "attention": "full", "layers__0__heads": 2, "layers__0__gated": False,
             "tied": True, "extra": 1},
            "'extra' is not to be chosen, given what was chosen before it",
        ),
    ],
)  # fmt: skip
def test_what_is_outside_the_space_is_refused_by_name(choices: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiscreteSpace(TRANSFORMER).encode(architecture(**choices))


def test_an_architecture_of_another_type_is_refused() -> None:
    with pytest.raises(
        ValueError, match="the architecture is a RecurrentCell, and the space has architectures of type Discrete"
    ):
        DiscreteSpace(TRANSFORMER).encode(NAS_CELL)


def test_true_and_1_cannot_stand_side_by_side_since_they_are_equal_in_python() -> None:
    with pytest.raises(ValidationError, match="'a' lists a value twice: True, 1"):
        described({"name": "a", "values": [True, 1]})
