"""`Editing`: edits of what is good, chosen by what is expected of them, and never the same architecture twice."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from nas_api import spec
from nas_controller.algorithms import Editing, build_algorithm
from nas_controller.algorithms.editor import Editor
from nas_controller.learner import Learner
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import ConvNetSpace, Space

from .landscape import OPTIMUM, SPACE, value
from .line import LINE, Line

torch.set_num_threads(1)

SEEDS = range(8)


def build(space: Space = SPACE, seed: int = 0, **settings: float) -> Editing:
    algorithm = spec.Algorithm(type="Editing", editing=spec.Editing.model_validate(settings))
    built = build_algorithm(spec.Controller(algorithm=algorithm, policy=spec.Policy(hidden_size=12)), space, seed)
    assert isinstance(built, Editing)
    return built


def search(algorithm: Editing, seed: int, workers: int = 1) -> Iterator[Proposal]:
    """What is trained, in the order in which it finishes. Workers finish in random order."""
    learner, generator = Learner(algorithm, seed), random.Random(seed)
    open_batches, number = [], 0
    while True:
        missing = workers - len(open_batches)
        open_batches += learner.sample_batches(number, [1] * missing, 1)
        number += missing
        batch = open_batches.pop(generator.randrange(len(open_batches)))
        yield from batch.proposals
        learner.learn(batch.batch, batch.version, [Rewarded(each, value(each.decisions)) for each in batch.proposals])


def found_at(trained: Iterator[Proposal], trials: int) -> int:
    """The number of trials until the optimum was trained; more than `trials` if it was not."""
    return next((at for at, each in enumerate(islice(trained, trials), 1) if each.decisions == OPTIMUM), trials + 1)


def test_with_16_workers_at_once_it_finds_the_optimum_in_160_trials() -> None:
    """One at a time: see `test_optimum`. Random search finds it in 160 trials once in 102 searches."""
    found = [found_at(search(build(seed=seed, candidates=100), seed, workers=16), 160) for seed in SEEDS]

    assert sum(at <= 160 for at in found) >= 7, found


def test_the_model_and_the_learning_of_the_policy_each_do_something() -> None:
    """Trials until the optimum, summed over seeds, with one of them, and with none. None is the slowest by far."""

    def trials(**settings: float) -> int:
        return sum(found_at(search(build(seed=seed, **settings), seed), 250) for seed in SEEDS[:5])

    neither = trials(candidates=1, policy_steps=0)

    assert trials(candidates=1) < 0.8 * neither
    assert trials(candidates=60, policy_steps=0) < 0.5 * neither


def test_no_architecture_is_trained_twice_with_many_workers_at_once() -> None:
    trained = list(islice(search(build(candidates=40), seed=3, workers=30), 120))

    assert len(set(trained)) == 120


def test_nothing_is_repeated_before_a_small_space_is_all_but_exhausted() -> None:
    algorithm = build(LINE, candidates=20)
    trained: list[Proposal] = []
    for number in range(35):
        proposals = algorithm.propose(4, 1, seed=number)
        algorithm.recorded(proposals)
        algorithm.learn(algorithm.snapshot(), [Rewarded(each, sum(each.decisions) / 12) for each in proposals])
        trained += proposals

    assert len(trained) == 140
    assert len(set(trained[:100])) == 100
    assert len(set(trained)) > 120  # of 125: the last ones are hard to come upon


def test_the_first_architectures_are_random() -> None:
    algorithm = build(initial_samples=50)

    assert algorithm.propose(10, 1, seed=1) != build(initial_samples=50, seed=5).propose(10, 1, seed=2)
    assert algorithm.propose(10, 1, seed=1) == build(initial_samples=50, seed=5).propose(10, 1, seed=1)


def test_nothing_is_repeated_among_the_first_architectures() -> None:
    for seed in range(20):
        algorithm = build(LINE, initial_samples=60)
        first: list[Proposal] = []
        for number in range(15):
            proposals = algorithm.propose(4, 1, seed=100 * seed + number)
            algorithm.recorded(proposals)
            first += proposals
        assert len(set(first)) == 60  # of 125


@pytest.mark.parametrize("count", [4, 20])
def test_the_better_an_architecture_the_likelier_it_is_edited(count: int) -> None:
    """So far apart are the parents that each edit has one that it is nearest to."""
    space = Line(length=20, choices=200)
    parents = [Proposal((rank,) * 20, 1) for rank in range(count)]
    policy = LSTMPolicy(space, spec.Policy(), torch.Generator().manual_seed(1))
    edits = Editor(space, policy, parents, exploration=1.0).draw(2000, 1, np.random.default_rng(1))

    edited = Counter(Counter(edit.decisions).most_common(1)[0][0] for edit in edits)

    assert edited[0] > edited[count - 1]
    assert sum(edited[rank] for rank in range((count + 1) // 2)) > 1.2 * sum(
        edited[rank] for rank in range(count // 2, count)
    )


def test_a_tiny_temperature_is_no_accident() -> None:
    algorithm = build(temperature=1e-6)
    for number in range(30):
        proposals = algorithm.propose(2, 1, seed=number)
        algorithm.recorded(proposals)
        algorithm.learn(algorithm.snapshot(), [Rewarded(each, value(each.decisions)) for each in proposals])

    assert algorithm.snapshot().isfinite().all()


def test_the_unit_of_rewards_does_not_matter() -> None:
    """Only their order does: a monotone function of the rewards changes no proposal."""
    in_percent, as_fraction = build(), build()
    for algorithm, unit in ((in_percent, lambda x: 100 * x + 7), (as_fraction, lambda x: x**3)):
        for number in range(20):
            proposals = algorithm.propose(2, 1, seed=number)
            algorithm.recorded(proposals)
            algorithm.learn(algorithm.snapshot(), [Rewarded(each, unit(value(each.decisions))) for each in proposals])

    assert in_percent.propose(5, 1, seed=99) == as_fraction.propose(5, 1, seed=99)


def test_a_deeper_architecture_is_edited_from_shallower_ones() -> None:
    """What was good at a depth is where the search goes on at the next: 3x3 filters, learnt at depth 3."""
    space = ConvNetSpace(
        spec.ConvNetSpace(layers=spec.DepthSchedule(initial=3, max=5), filters=(24,), skip_connections=True)
    )
    algorithm = build(space, candidates=60)
    for number in range(60):
        proposals = algorithm.propose(1, 3, seed=number)
        algorithm.recorded(proposals)
        rewards = [share_of_3x3(space, proposal) for proposal in proposals]
        algorithm.learn(
            algorithm.snapshot(), [Rewarded(each, reward) for each, reward in zip(proposals, rewards, strict=True)]
        )

    proposals = algorithm.propose(10, 5, seed=1000)

    assert all(proposal.depth == 5 for proposal in proposals)
    # Random ones have 1/4; three layers of five are known.
    assert sum(share_of_3x3(space, proposal) for proposal in proposals) / 10 > 0.5


def share_of_3x3(space: ConvNetSpace, proposal: Proposal) -> float:
    network = space.decode(proposal.decisions, proposal.depth)
    sides = [side for layer in network.layers for side in (layer.operation.filter_height, layer.operation.filter_width)]
    return sides.count(3) / len(sides)


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_refused_and_changes_nothing(reward: float) -> None:
    algorithm = build()
    proposals = algorithm.propose(1, 1, seed=0)
    algorithm.recorded(proposals)
    before = algorithm.snapshot()

    with pytest.raises(ValueError, match="finite"):
        algorithm.learn(before, [Rewarded(proposals[0], reward)])

    assert torch.equal(algorithm.snapshot(), before)
