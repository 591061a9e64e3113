"""The policy learns: on a reward whose optimum is known REINFORCE finds it, and random search does not."""

import pytest
import torch
from nas_api import spec
from nas_api.architectures import ConvNet, Convolution
from nas_controller.algorithms import build_algorithm
from nas_controller.learner import Learner
from nas_controller.proposal import Rewarded
from nas_controller.spaces import ConvNetSpace

torch.set_num_threads(1)

SEEDS = range(20)
TRIALS = 640
LAYERS = 4
# Smaller than the paper's, with a higher learning rate and an entropy bonus, so that the test takes seconds: 4 layers
# of 16 filter shapes each and 6 possible skip connections make 4,194,304 networks, one of which is the best.
SPACE = ConvNetSpace(spec.ConvNetSpace(layers=spec.DepthSchedule(initial=LAYERS, max=LAYERS), filters=(24,)))
REINFORCE = spec.Reinforce(learning_rate=0.01, entropy_weight=0.2)


def agreement(network: ConvNet) -> float:
    """1 for 3x3 filters everywhere and the first layer as the one input of all later ones; less for each difference."""
    wanted, decisions = 0, 0
    for index, layer in enumerate(network.layers):
        assert isinstance(layer.operation, Convolution)
        wanted += (layer.operation.filter_height == 3) + (layer.operation.filter_width == 3)
        wanted += sum((earlier in layer.inputs) == (earlier == 0) for earlier in range(index))
        decisions += 2 + index
    return wanted / decisions


def search(algorithm: str, seed: int) -> list[float]:
    """The agreement of each architecture of one search, in order. The reward is its cube, as in the paper."""
    controller = spec.Controller(algorithm=spec.Algorithm(type=algorithm, reinforce=REINFORCE))
    learner = Learner(build_algorithm(controller, SPACE, seed), seed)
    agreements: list[float] = []
    for number in range(TRIALS // controller.batch_size):
        batch = learner.sample(number, controller.batch_size, LAYERS)
        values = [agreement(SPACE.decode(proposal.decisions, proposal.depth)) for proposal in batch.proposals]
        rewarded = [Rewarded(proposal, value**3) for proposal, value in zip(batch.proposals, values, strict=True)]
        learner.learn(number, batch.version, rewarded)
        agreements += values
    return agreements


@pytest.fixture(scope="module")
def searches() -> dict[str, list[list[float]]]:
    return {algorithm: [search(algorithm, seed) for seed in SEEDS] for algorithm in ("REINFORCE", "Random")}


def test_reinforce_finds_the_optimum_and_random_search_never_does(searches: dict[str, list[list[float]]]) -> None:
    found = {algorithm: sum(max(run) == 1 for run in runs) for algorithm, runs in searches.items()}

    assert found["REINFORCE"] >= 18  # of 20
    assert found["Random"] == 0


def test_what_reinforce_proposes_in_the_end_is_better_in_every_search(searches: dict[str, list[list[float]]]) -> None:
    """Complete separation of 20 and 20: one-sided p = 1 / (40 choose 20) < 1e-11 in a Mann-Whitney test."""
    last = {algorithm: [sum(run[-100:]) / 100 for run in runs] for algorithm, runs in searches.items()}

    assert min(last["REINFORCE"]) > 0.7
    assert max(last["Random"]) < 0.4
