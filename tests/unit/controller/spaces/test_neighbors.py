"""Neighbours: one decision apart, always in the space, and all of what still fits is kept."""

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from nas_api import spec
from nas_api.architectures import ConvNet
from nas_controller.proposal import Proposal
from nas_controller.spaces import ConvNetSpace, DiscreteSpace, Space
from nas_controller.spaces.neighbors import count_neighbors, edited, fit, mutation, neighbors, random_proposal

ALL_TYPES = ("Convolution", "MaxPooling", "AveragePooling", "BatchNormalization")


def convnets(depth: int, types: tuple[str, ...] = ("Convolution",), *, skips: bool = True) -> ConvNetSpace:
    layers = spec.DepthSchedule(initial=1, max=depth)
    return ConvNetSpace(spec.ConvNetSpace(layers=layers, layer_types=types, skip_connections=skips))


REPEATS = DiscreteSpace(
    spec.DiscreteSpace.model_validate(
        {
            "choices": [
                {"name": "depth", "values": [1, 2, 3]},
                {
                    "name": "layers",
                    "repeat": "depth",
                    "choices": [{"name": "heads", "values": [1, 2, 4, 8]}, {"name": "width", "values": [64, 128]}],
                },
                {"name": "rate", "values": [0.1, 0.01, 0.001]},
            ]
        }
    )
)
SPACES: dict[str, tuple[Space, int]] = {
    "convolutions": (convnets(5), 5),
    "layers of all types": (convnets(5, ALL_TYPES), 4),
    "layers of all types in a chain": (convnets(5, ALL_TYPES, skips=False), 4),
    "repeats": (REPEATS, 1),
}
spaces = st.sampled_from(sorted(SPACES))


@given(spaces, st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_neighbors_are_in_the_space_and_differ_from_the_proposal_and_from_each_other(name: str, seed: int) -> None:
    space, depth = SPACES[name]
    proposal = random_proposal(space, depth, random.Random(seed))

    found = list(neighbors(space, proposal))

    for neighbor in found:
        space.decode(neighbor.decisions, neighbor.depth)
    assert len({*found, proposal}) == len(found) + 1 == count_neighbors(space, proposal) + 1
    assert list(neighbors(space, proposal)) == found


def test_where_no_decision_depends_on_another_neighbors_are_those_with_one_other_choice_or_bit() -> None:
    space = convnets(3)
    proposal = random_proposal(space, 3, random.Random(0))

    apart = [
        [
            (a ^ b).bit_count() if space.kinds[step.kind].anchor else 1
            for step, a, b in zip(steps, one, other, strict=True)
            if a != b
        ]
        for one, other in ((proposal.decisions, neighbor.decisions) for neighbor in neighbors(space, proposal))
        for steps in [space.trace(one, 3)[0]]
    ]

    assert apart == [[1]] * (3 * (3 + 3 + 3) + 0 + 1 + 2)


@given(spaces, st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_a_mutation_is_a_neighbor(name: str, seed: int) -> None:
    space, depth = SPACES[name]
    generator = random.Random(seed)
    proposal = random_proposal(space, depth, generator)

    assert mutation(space, proposal, generator) in set(neighbors(space, proposal))


def test_another_type_of_one_layer_leaves_all_other_layers_and_its_inputs_as_they_are() -> None:
    space = convnets(5, ALL_TYPES)
    for seed in range(40):
        generator = random.Random(seed)
        proposal = random_proposal(space, 4, generator)
        before = space.decode(proposal.decisions, 4)
        assert isinstance(before, ConvNet)
        at = proposal.decisions.index(proposal.decisions[0])  # the type of the first layer
        for other in set(range(4)) - {proposal.decisions[0]}:
            after = space.decode(edited(space, proposal, at, other).decisions, 4)
            assert isinstance(after, ConvNet)
            assert after.layers[1:] == before.layers[1:]
            assert after.layers[0].operation.op == ALL_TYPES[other]


def test_a_round_more_or_less_of_a_repeat_keeps_the_other_rounds_and_what_follows() -> None:
    proposal = Proposal((1, 3, 0, 2, 1, 2), 1)  # two rounds: (8, 64), (4, 128); rate 0.001

    fewer, more = edited(REPEATS, proposal, 0, 0), edited(REPEATS, proposal, 0, 2)

    assert fewer.decisions == (0, 3, 0, 2)
    assert more.decisions[:5] == (2, 3, 0, 2, 1)
    assert len(more.decisions) == 8
    assert more.decisions[-1] == 2


def test_a_proposal_of_fewer_layers_is_continued_where_more_are_asked_for() -> None:
    space = convnets(6, ALL_TYPES)
    generator = random.Random(0)
    proposal = random_proposal(space, 3, generator)
    steps, _ = space.trace(proposal.decisions, 3)

    longer = fit(space, 5, (), list(zip(steps, proposal.decisions, strict=True)), generator)

    assert longer.depth == 5
    assert longer.decisions[: len(proposal.decisions)] == proposal.decisions


def test_two_edits_one_after_the_other_change_two_decisions() -> None:
    proposal = Proposal((0, 3, 0, 2), 1)

    assert edited(REPEATS, edited(REPEATS, proposal, 1, 0), 3, 1).decisions == (0, 0, 0, 1)


@pytest.mark.parametrize("decision", [-1, 4])
def test_a_decision_that_is_no_choice_is_refused(decision: int) -> None:
    with pytest.raises(ValueError, match="decision 1 cannot be"):
        edited(REPEATS, Proposal((0, 3, 0, 2), 1), 1, decision)


def test_decisions_that_do_not_begin_an_architecture_are_refused() -> None:
    with pytest.raises(ValueError, match="5 decisions where 4 make an architecture"):
        fit(REPEATS, 1, (0, 3, 0, 2, 1), (), random.Random(0))


def test_a_space_without_a_choice_has_no_neighbors() -> None:
    space = ConvNetSpace(
        spec.ConvNetSpace(filter_heights=(3,), filter_widths=(3,), filters=(8,), skip_connections=False)
    )
    proposal = random_proposal(space, 2, random.Random(0))

    assert list(neighbors(space, proposal)) == []
    assert mutation(space, proposal, random.Random(0)) == proposal
