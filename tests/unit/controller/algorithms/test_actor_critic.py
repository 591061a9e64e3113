"""Actor-critic: what a decision has changed in the expected reward is what it is praised or blamed for."""

import math
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nas_api import spec
from nas_controller.algorithms import ActorCritic, Reinforce
from nas_controller.algorithms.critic import generalized_advantages, standardised
from nas_controller.algorithms.moving_average import MovingAverage
from nas_controller.history import History
from nas_controller.proposal import Proposal, Rewarded

from .line import LINE, Line

torch.set_num_threads(1)

REWARDS = (0.1, 0.9, 0.4, 0.2)


def controller(gradients_per_update: int = 1, hidden_size: int = 6, **actor_critic: float) -> spec.Controller:
    chosen = {"learning_rate": 0.02, "max_gradient_norm": 1e9, "entropy_weight": 0.0} | actor_critic
    return spec.Controller(
        policy=spec.Policy(hidden_size=hidden_size, init_scale=0.5),
        algorithm=spec.Algorithm(
            actor_critic=spec.ActorCritic(**chosen),
            reinforce=spec.Reinforce(max_gradient_norm=1e9),
        ),
        parallelism=spec.Parallelism(gradients_per_update=gradients_per_update),
    )


def build(gradients_per_update: int = 1, hidden_size: int = 6, space: Line = LINE, **settings: float) -> ActorCritic:
    return ActorCritic(space, controller(gradients_per_update, hidden_size, **settings), seed=0)


def rewarded(proposals: Sequence[Proposal], rewards: Sequence[float] = REWARDS) -> list[Rewarded]:
    return [Rewarded(proposal, reward) for proposal, reward in zip(proposals, rewards, strict=True)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(-5, 5)), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_an_advantage_is_the_sum_of_the_differences_that_follow_each_lambda_times_the_one_before(
    episodes: list[tuple[list[float], float]], gae_lambda: float
) -> None:
    longest = max(len(values) for values, _ in episodes)
    values = torch.full((longest, len(episodes)), 77.0, dtype=torch.float64)  # to be ignored
    made = torch.zeros(longest, len(episodes), dtype=torch.bool)
    expected = torch.zeros(longest, len(episodes), dtype=torch.float64)
    for index, (estimates, reward) in enumerate(episodes):
        values[: len(estimates), index] = torch.tensor(estimates, dtype=torch.float64)
        made[: len(estimates), index] = True
        differences = [after - before for before, after in zip(estimates, [*estimates[1:], reward], strict=True)]
        for t in range(len(estimates)):
            expected[t, index] = math.fsum(gae_lambda**k * d for k, d in enumerate(differences[t:]))

    rewards = torch.tensor([reward for _, reward in episodes], dtype=torch.float64)

    torch.testing.assert_close(generalized_advantages(values, made, rewards, gae_lambda), expected)


def test_before_the_value_head_has_learnt_it_is_reinforce_with_standardised_rewards() -> None:
    critic, reinforce = build(2, gae_lambda=1, value_weight=0), Reinforce(LINE, controller(2), seed=0)
    batch = rewarded(critic.propose(4, 1, seed=0))

    critic.learn(critic.snapshot(), batch)
    reinforce.learn(reinforce.snapshot(), batch)

    plain = reinforce.state()["gathered"]
    spread, weight = critic.state()["spread"].tolist()
    torch.testing.assert_close(
        critic.state()["gathered"][: len(plain)], plain / (spread / weight), rtol=1e-4, atol=1e-6
    )


def test_the_value_head_learns_what_is_to_be_expected_after_the_decisions_made() -> None:
    """The reward is 1 if the first decision is 0, and nothing else matters."""
    critic = build(hidden_size=16, learning_rate=0.005, space=Line(length=3, choices=2))
    uniform = [Proposal((a, b, c), 1) for a in range(2) for b in range(2) for c in range(2)]
    for _ in range(150):
        critic.learn(critic.snapshot(), [Rewarded(proposal, float(proposal.decisions[0] == 0)) for proposal in uniform])

    critic._point_at(critic.snapshot())
    values = critic._critic.values(critic._policy.evaluate([Proposal((0, 1, 1), 1), Proposal((1, 1, 1), 1)])).detach()

    assert (values[1:, 0] > values[1:, 1] + 0.5).all()
    assert values[0, 0] == values[0, 1]


def test_a_late_gradient_is_that_of_its_own_snapshot() -> None:
    critic = build()
    old = critic.snapshot()
    late = rewarded(critic.propose(4, 1, seed=1))
    critic.learn(old, rewarded(critic.propose(4, 1, seed=2)))
    gathered = []
    for newest in (old, critic.snapshot()):
        twin = build(gradients_per_update=2)
        twin.restore(newest, critic.state(), History())
        twin.learn(old, late)
        gathered.append(twin.state()["gathered"])

    assert not torch.equal(old, critic.snapshot())
    assert torch.equal(gathered[0], gathered[1])


def test_rewards_are_measured_by_the_usual_size_of_their_differences() -> None:
    spread = MovingAverage(0.5)

    standardised(torch.tensor([4.0, -4.0], dtype=torch.float64), spread)
    later = standardised(torch.tensor([1.0], dtype=torch.float64), spread)

    assert spread.value == pytest.approx((1 * 1 + 0.5 * 4 + 0.25 * 4) / 1.75)
    assert later.tolist() == pytest.approx([1 / spread.value])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_reward_does_not_matter(scale: float) -> None:
    critic, other = build(), build()
    for number in range(5):
        proposals = critic.propose(4, 1, seed=number)
        critic.learn(critic.snapshot(), rewarded(proposals))
        other.learn(other.snapshot(), rewarded(proposals, [7 * scale + scale * reward for reward in REWARDS]))

    torch.testing.assert_close(other.snapshot(), critic.snapshot(), rtol=1e-2, atol=1e-3)


def test_a_state_of_another_algorithm_is_refused() -> None:
    reinforce = Reinforce(LINE, controller(), seed=0)

    with pytest.raises(ValueError, match="the state is not one of ActorCritic: it has no spread"):
        build().restore(reinforce.snapshot(), reinforce.state(), History())
