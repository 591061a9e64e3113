"""Every algorithm goes on, soundly, where there is nothing to learn."""

from typing import get_args

import pytest
import torch
from nas_api import spec
from nas_controller.algorithms import Algorithm, build_algorithm
from nas_controller.proposal import Rewarded
from nas_controller.spaces import ConvNetSpace, Space

from .line import LINE

torch.set_num_threads(1)

TYPES = get_args(spec.Algorithm.model_fields["type"].annotation)
SMALL = spec.Controller(policy=spec.Policy(hidden_size=6)).model_dump()

every_algorithm = pytest.mark.parametrize("algorithm_type", TYPES)


def build(algorithm_type: str, space: Space = LINE) -> Algorithm:
    return build_algorithm(spec.Controller.model_validate(SMALL | {"algorithm": {"type": algorithm_type}}), space, 0)


def search(algorithm: Algorithm, rewards: list[float], batch: int, depth: int = 1, space: Space = LINE) -> None:
    """Proposes and learns, and checks that all of it is sound."""
    for number, reward in enumerate(rewards):
        proposals = algorithm.propose(batch, depth, seed=number)
        assert len(proposals) == batch
        for proposal in proposals:
            space.decode(proposal.decisions, proposal.depth)
        algorithm.recorded(proposals)
        statistics = algorithm.learn(algorithm.snapshot(), [Rewarded(proposal, reward) for proposal in proposals])
        assert statistics.entropy is None or statistics.entropy >= 0
        assert algorithm.snapshot().isfinite().all()
        assert all(tensor.isfinite().all() for tensor in algorithm.state().values())


@every_algorithm
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("reward", [0.0, 0.7, -3.0], ids=["all trials failed", "constant", "constant below zero"])
def test_rewards_that_are_all_the_same(algorithm_type: str, batch: int, reward: float) -> None:
    search(build(algorithm_type), [reward] * 30, batch)


@pytest.mark.parametrize("algorithm_type", ["REINFORCE", "ActorCritic", "PPO"])
def test_a_policy_learns_nothing_from_rewards_that_are_all_the_same(algorithm_type: str) -> None:
    algorithm = build(algorithm_type)
    proposals = algorithm.propose(8, 1, seed=0)
    entropies = [
        algorithm.learn(algorithm.snapshot(), [Rewarded(proposal, 0.7) for proposal in proposals]).entropy
        for _ in range(30)
    ]

    assert entropies[-1] == pytest.approx(entropies[0], abs=0.01)


@every_algorithm
def test_one_finished_trial(algorithm_type: str) -> None:
    search(build(algorithm_type), [0.5], batch=1)


@every_algorithm
def test_a_success_after_failures_only(algorithm_type: str) -> None:
    search(build(algorithm_type), [0.0] * 20 + [0.9] + [0.0] * 20, batch=2)


@every_algorithm
def test_rewards_of_any_size(algorithm_type: str) -> None:
    search(build(algorithm_type), [1e300, -1e300, 1e-300, 0.0, 1.7e308, -1.7e308, 0.5, 0.5], batch=3)


@every_algorithm
def test_a_space_with_nothing_to_decide(algorithm_type: str) -> None:
    space = ConvNetSpace(
        spec.ConvNetSpace(filter_heights=(3,), filter_widths=(3,), filters=(8,), skip_connections=False)
    )
    search(build(algorithm_type, space), [0.5, 0.5, 0.5], batch=4, depth=6, space=space)


@every_algorithm
def test_an_architecture_that_grows_by_a_schedule(algorithm_type: str) -> None:
    layers = spec.DepthSchedule(initial=1, max=4)
    space = ConvNetSpace(spec.ConvNetSpace(layers=layers, layer_types=("Convolution", "BatchNormalization")))
    algorithm = build(algorithm_type, space)

    for depth in range(1, 5):
        search(algorithm, [0.1 * depth + 0.01 * number for number in range(8)], batch=4, depth=depth, space=space)
