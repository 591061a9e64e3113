"""Random search: uniform over each decision, and nothing learnt."""

from collections import Counter

import pytest
import torch
from nas_api import spec
from nas_controller.algorithms import RandomSearch, build_algorithm
from nas_controller.history import History
from nas_controller.proposal import Rewarded
from nas_controller.spaces import ConvNetSpace

SPACE = ConvNetSpace(
    spec.ConvNetSpace(
        layers=spec.DepthSchedule(initial=2, max=2),
        layer_types=("Convolution", "BatchNormalization"),
        filter_heights=(1, 3, 5),
        filter_widths=(1,),
        filters=(8,),
    )
)


def test_each_decision_is_uniform_given_those_before() -> None:
    count = 20_000

    proposals = RandomSearch(SPACE).propose(count, 2, seed=0)

    first_layer = Counter("convolution" if p.decisions[0] == 0 else "normalization" for p in proposals)
    heights = Counter(p.decisions[1] for p in proposals if p.decisions[0] == 0)
    second_takes_first = sum(p.decisions[-1] for p in proposals)
    deviation = (count / 4) ** 0.5  # of a fair coin thrown `count` times
    assert first_layer["convolution"] == pytest.approx(count / 2, abs=4 * deviation)
    assert second_takes_first == pytest.approx(count / 2, abs=4 * deviation)
    for height in range(3):
        assert heights[height] == pytest.approx(count / 6, abs=4 * deviation)


def test_the_seed_decides_what_is_proposed_whatever_was_proposed_before() -> None:
    one, other = RandomSearch(SPACE), RandomSearch(SPACE)
    one.propose(5, 2, seed=3)

    assert one.propose(5, 2, seed=4) == other.propose(5, 2, seed=4)
    assert one.propose(5, 2, seed=4) != one.propose(5, 2, seed=5)


def test_it_learns_nothing_and_keeps_nothing() -> None:
    search = build_algorithm(spec.Controller(algorithm=spec.Algorithm(type="Random")), SPACE, seed=0)
    proposals = search.propose(2, 2, seed=0)

    statistics = search.learn(search.snapshot(), [Rewarded(proposal, 1.0) for proposal in proposals])

    assert (statistics.baseline, statistics.entropy, statistics.gradient_norm) == (None, None, None)
    assert search.state() == {}
    assert search.propose(2, 2, seed=0) == proposals
    search.restore(search.snapshot(), search.state(), History())


def test_it_refuses_the_state_of_an_algorithm_that_learns() -> None:
    learning = build_algorithm(spec.Controller(), SPACE, seed=0)

    with pytest.raises(ValueError, match="RandomSearch keeps no state, but was given one"):
        RandomSearch(SPACE).restore(learning.snapshot(), learning.state(), History())
    with pytest.raises(ValueError, match="the state is not one of REINFORCE: it has no baseline"):
        learning.restore(torch.empty(0), {}, History())
