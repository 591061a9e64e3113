"""REINFORCE: the gradient of the paper, at the replica's own snapshot, with a baseline of previous rewards."""

import math
from collections.abc import Sequence

import pytest
import torch
from nas_api import spec
from nas_controller.algorithms import Reinforce, build_algorithm
from nas_controller.history import History
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import ConvNetSpace
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

torch.set_num_threads(1)

SPACE = ConvNetSpace(
    spec.ConvNetSpace(
        layers=spec.DepthSchedule(initial=3, max=3), layer_types=("Convolution", "BatchNormalization"), filters=(8, 16)
    )
)
REWARDS = (0.1, 0.9, 0.4, 0.2)


def controller(shards: int = 1, gradients_per_update: int = 1, **reinforce: float) -> spec.Controller:
    return spec.Controller(
        policy=spec.Policy(hidden_size=6, init_scale=0.5),
        algorithm=spec.Algorithm(
            reinforce=spec.Reinforce(**{"learning_rate": 0.05, "max_gradient_norm": 1e9} | reinforce)
        ),
        parallelism=spec.Parallelism(parameter_shards=shards, gradients_per_update=gradients_per_update),
    )


def build(shards: int = 1, gradients_per_update: int = 1, **reinforce: float) -> Reinforce:
    algorithm = build_algorithm(controller(shards, gradients_per_update, **reinforce), SPACE, seed=0)
    assert isinstance(algorithm, Reinforce)
    return algorithm


def rewarded(proposals: Sequence[Proposal], rewards: Sequence[float] = REWARDS) -> list[Rewarded]:
    return [Rewarded(proposal, reward) for proposal, reward in zip(proposals, rewards, strict=True)]


class PlainReinforce:
    """The method written down once more, as a loop over samples around torch's autograd and Adam."""

    def __init__(self, seed: int, learning_rate: float = 0.05) -> None:
        self.policy = LSTMPolicy(SPACE, controller().policy, torch.Generator().manual_seed(seed))
        self.adam = torch.optim.Adam(self.policy.parameters(), lr=learning_rate)

    def gradient(
        self, snapshot: Tensor, batch: Sequence[Rewarded], baselines: Sequence[float], weight: float
    ) -> Tensor:
        newest = parameters_to_vector(self.policy.parameters()).detach().clone()
        vector_to_parameters(snapshot.clone(), self.policy.parameters())
        self.policy.zero_grad()
        for each, baseline in zip(batch, baselines, strict=True):
            evaluation = self.policy.evaluate([each.proposal])
            loss = -evaluation.log_probability[0] * (each.reward - baseline) - weight * evaluation.entropy[0]
            (loss / len(batch)).backward()
        gradient = torch.cat([p.grad.flatten() for p in self.policy.parameters() if p.grad is not None])
        vector_to_parameters(newest, self.policy.parameters())
        return gradient

    def apply(self, gradient: Tensor) -> None:
        at = 0
        for parameter in self.policy.parameters():
            parameter.grad = gradient[at : at + parameter.numel()].view_as(parameter).clone()
            at += parameter.numel()
        self.adam.step()

    def parameters(self) -> Tensor:
        return parameters_to_vector(self.policy.parameters()).detach()


def leave_one_out(rewards: Sequence[float]) -> list[float]:
    return [(sum(rewards) - reward) / (len(rewards) - 1) for reward in rewards]


def test_one_replica_and_one_shard_do_a_plain_reinforce_step() -> None:
    algorithm, plain = build(entropy_weight=0.1, baseline_decay=0.5), PlainReinforce(seed=0)
    average = 0.0
    for number in range(5):
        batch = rewarded(algorithm.propose(4, 3, seed=number))
        baselines = [average / (1 - 0.5 ** (4 * number))] * 4 if number else leave_one_out(REWARDS)
        gradient = plain.gradient(plain.parameters(), batch, baselines, weight=0.1)
        plain.apply(gradient)

        statistics = algorithm.learn(algorithm.snapshot(), batch)

        for reward in REWARDS:
            average = 0.5 * average + 0.5 * reward
        assert statistics.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-4)
        # Adam turns a gradient near 0 into a step of the learning rate's size, and so its rounding error as well.
        significant = gradient.abs() > 1e-6
        assert significant.float().mean() > 0.9
        torch.testing.assert_close(
            algorithm.snapshot()[significant], plain.parameters()[significant], rtol=1e-4, atol=2e-5
        )
        plain_parameters = algorithm.snapshot()
        vector_to_parameters(plain_parameters, plain.policy.parameters())


def test_a_late_gradient_is_that_of_its_own_snapshot_applied_to_the_newest_parameters() -> None:
    algorithm, plain = build(), PlainReinforce(seed=0)
    old = algorithm.snapshot()
    first, late = rewarded(algorithm.propose(4, 3, seed=1)), rewarded(algorithm.propose(4, 3, seed=2))

    algorithm.learn(old, first)
    newest = algorithm.snapshot()
    baseline = algorithm.learn(old, late).baseline

    assert baseline is not None
    plain.apply(plain.gradient(old, first, leave_one_out(REWARDS), weight=0))
    torch.testing.assert_close(plain.parameters(), newest, rtol=1e-3, atol=1e-4)
    at_old = plain.gradient(old, late, [baseline] * 4, weight=0)
    at_newest = plain.gradient(newest, late, [baseline] * 4, weight=0)
    assert (at_old - at_newest).norm() > 0.05 * at_old.norm()
    plain.apply(at_old)
    significant = at_old.abs() > 1e-6
    torch.testing.assert_close(algorithm.snapshot()[significant], plain.parameters()[significant], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shards", [2, 7, 20, 1000])
def test_any_number_of_shards_learns_the_same_bit_for_bit(shards: int) -> None:
    one, many = build(), build(shards=shards)

    for number in range(10):
        proposals = one.propose(4, 3, seed=number)
        assert many.propose(4, 3, seed=number) == proposals
        one.learn(one.snapshot(), rewarded(proposals))
        many.learn(many.snapshot(), rewarded(proposals))

    assert torch.equal(one.snapshot(), many.snapshot())


def test_with_gradients_gathered_the_policy_changes_once_for_all_of_them() -> None:
    algorithm = build(gradients_per_update=3)
    start = algorithm.snapshot()
    changed = []

    for number in range(6):
        algorithm.learn(algorithm.snapshot(), rewarded(algorithm.propose(4, 3, seed=number)))
        changed.append(not torch.equal(algorithm.snapshot(), start))
        start = algorithm.snapshot()

    assert changed == [False, False, True, False, False, True]


def test_the_baseline_is_the_average_of_the_rewards_of_previous_batches_only() -> None:
    algorithm = build(baseline_decay=0.5)
    baselines = []
    for number, rewards in enumerate([(1.0, 0.0), (0.0, 1.0), (9.0, 9.0), (5.0, 5.0)]):
        batch = rewarded(algorithm.propose(2, 3, seed=number), rewards)
        baselines.append(algorithm.learn(algorithm.snapshot(), batch).baseline)

    # The first batch is measured against itself, one left out. Weights halve from the newest reward backwards.
    assert baselines[0] == pytest.approx(0.5)
    assert baselines[1] == pytest.approx((0 * 4 + 1 * 2) / 6)
    assert baselines[2] == pytest.approx((1 * 8 + 0 * 4 + 0 * 2 + 1 * 1) / 15)
    assert baselines[3] == pytest.approx((9 * 32 + 9 * 16 + 1 * 8 + 0 * 4 + 0 * 2 + 1 * 1) / 63)


def test_the_baseline_counts_the_rewards_of_a_batch_in_their_order() -> None:
    baselines = []
    for rewards in [(0.0, 1.0), (1.0, 0.0)]:
        algorithm = build(baseline_decay=0.5)
        for number in range(2):
            batch = rewarded(algorithm.propose(2, 3, seed=number), rewards)
            statistics = algorithm.learn(algorithm.snapshot(), batch)
        baselines.append(statistics.baseline)

    assert baselines == [pytest.approx(2 / 3), pytest.approx(1 / 3)]


def test_equal_rewards_in_the_first_batch_teach_nothing() -> None:
    """With a baseline of 0 they would make each of its architectures more likely, merely for being positive."""
    algorithm = build()
    before = algorithm.snapshot()

    statistics = algorithm.learn(before, rewarded(algorithm.propose(4, 3, seed=0), [0.7] * 4))

    assert statistics.gradient_norm == pytest.approx(0, abs=1e-6)


def test_a_first_batch_of_one_is_measured_against_zero() -> None:
    algorithm = build()

    statistics = algorithm.learn(algorithm.snapshot(), rewarded(algorithm.propose(1, 3, seed=0), [0.7]))

    assert statistics.baseline == 0
    assert statistics.gradient_norm is not None
    assert statistics.gradient_norm > 0.01


def test_a_good_architecture_becomes_more_likely_and_a_bad_one_less() -> None:
    algorithm = build()
    good, bad = algorithm.propose(2, 3, seed=0)
    policy = LSTMPolicy(SPACE, controller().policy, torch.Generator().manual_seed(0))
    before = policy.evaluate([good, bad]).log_probability

    algorithm.learn(algorithm.snapshot(), [Rewarded(good, 1.0), Rewarded(bad, 0.0)])

    vector_to_parameters(algorithm.snapshot(), policy.parameters())
    after = policy.evaluate([good, bad]).log_probability
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_a_large_gradient_is_scaled_down_to_its_limit_before_it_is_handed_over() -> None:
    free, clipped = build(gradients_per_update=2), build(gradients_per_update=2, max_gradient_norm=0.01)
    batch = rewarded(free.propose(4, 3, seed=0))

    norms = [algorithm.learn(algorithm.snapshot(), batch).gradient_norm for algorithm in (free, clipped)]

    assert norms[0] == norms[1]
    gathered = [algorithm.state()["gathered"] for algorithm in (free, clipped)]
    assert float(gathered[1].norm()) == pytest.approx(0.01)
    torch.testing.assert_close(gathered[1] / gathered[1].norm(), gathered[0] / gathered[0].norm())


def test_the_entropy_bonus_keeps_the_policy_exploring() -> None:
    entropies = []
    for weight in (0.0, 3.0):
        algorithm = build(entropy_weight=weight)
        for number in range(30):
            # The reward wants the first choice everywhere.
            proposals = algorithm.propose(8, 3, seed=number)
            batch = rewarded(proposals, [sum(d == 0 for d in p.decisions) for p in proposals])
            statistics = algorithm.learn(algorithm.snapshot(), batch)
        entropies.append(statistics.entropy)

    assert entropies[0] is not None
    assert entropies[1] is not None
    assert entropies[0] < 0.5 * entropies[1]


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_is_refused_and_changes_nothing(reward: float) -> None:
    algorithm = build()
    before, state = algorithm.snapshot(), algorithm.state()

    with pytest.raises(ValueError, match="rewards must be finite"):
        algorithm.learn(before, rewarded(algorithm.propose(2, 3, seed=0), [0.5, reward]))

    assert torch.equal(algorithm.snapshot(), before)
    assert all(torch.equal(value, state[name]) for name, value in algorithm.state().items())


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch without rewards has no gradient"):
        build().learn(build().snapshot(), [])


def test_a_reward_near_the_largest_number_does_not_break_the_policy() -> None:
    algorithm = build()

    algorithm.learn(algorithm.snapshot(), rewarded(algorithm.propose(2, 3, seed=0), [0.5, 1e300]))

    assert algorithm.snapshot().isfinite().all()


def test_a_space_with_nothing_to_decide_is_searched_all_the_same() -> None:
    space = ConvNetSpace(
        spec.ConvNetSpace(filter_heights=(3,), filter_widths=(3,), filters=(8,), skip_connections=False)
    )
    algorithm = build_algorithm(controller(), space, seed=0)

    proposals = algorithm.propose(4, 6, seed=0)
    statistics = algorithm.learn(algorithm.snapshot(), rewarded(proposals))

    assert proposals == [Proposal((), 6)] * 4
    assert (statistics.entropy, statistics.gradient_norm) == (0, 0)


def test_a_state_of_another_space_is_refused() -> None:
    other = build_algorithm(controller(), ConvNetSpace(spec.ConvNetSpace()), seed=0)

    with pytest.raises(ValueError, match="'parameters' of the parameter server has shape"):
        build().restore(other.snapshot(), other.state(), History())


def test_torchs_global_generator_is_not_touched() -> None:
    before = torch.random.get_rng_state()

    algorithm = build()
    algorithm.learn(algorithm.snapshot(), rewarded(algorithm.propose(4, 3, seed=0)))
    algorithm.restore(algorithm.snapshot(), algorithm.state(), History())

    assert torch.equal(torch.random.get_rng_state(), before)
