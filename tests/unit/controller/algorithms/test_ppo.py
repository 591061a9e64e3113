"""PPO: several steps from each batch, as far as the clipped objective lets the policy move (Schulman et al. 2017)."""

from collections.abc import Sequence

import pytest
import torch
from nas_api import spec
from nas_controller.algorithms import PPO, ActorCritic
from nas_controller.history import History
from nas_controller.proposal import Proposal, Rewarded

from .line import LINE

torch.set_num_threads(1)

REWARDS = (0.1, 0.9, 0.4, 0.2)
SHARED = {"learning_rate": 0.02, "max_gradient_norm": 1e9, "gae_lambda": 0.9, "value_weight": 0.3}


def controller(gradients_per_update: int = 1, **ppo: float) -> spec.Controller:
    shared = SHARED | {"entropy_weight": 0.1}
    return spec.Controller(
        policy=spec.Policy(hidden_size=6, init_scale=0.5),
        algorithm=spec.Algorithm(
            ppo=spec.PPO.model_validate(shared | {"update_epochs": 1} | ppo),
            actor_critic=spec.ActorCritic.model_validate(shared),
        ),
        parallelism=spec.Parallelism(gradients_per_update=gradients_per_update),
    )


def build(gradients_per_update: int = 1, **ppo: float) -> PPO:
    return PPO(LINE, controller(gradients_per_update, **ppo), seed=0)


def rewarded(proposals: Sequence[Proposal], rewards: Sequence[float] = REWARDS) -> list[Rewarded]:
    return [Rewarded(proposal, reward) for proposal, reward in zip(proposals, rewards, strict=True)]


def log_probability(ppo: PPO, proposal: Proposal) -> float:
    ppo._point_at(ppo.snapshot())
    return float(ppo._policy.evaluate([proposal]).log_probability.detach())


def test_the_first_step_from_a_fresh_batch_is_that_of_actor_critic() -> None:
    ppo, critic = build(2), ActorCritic(LINE, controller(2), seed=0)
    batch = rewarded(ppo.propose(4, 1, seed=0))

    statistics = ppo.learn(ppo.snapshot(), batch), critic.learn(critic.snapshot(), batch)

    torch.testing.assert_close(ppo.state()["gathered"], critic.state()["gathered"])
    assert statistics[0].baseline == statistics[1].baseline
    assert statistics[0].entropy == pytest.approx(statistics[1].entropy)
    assert statistics[0].gradient_norm == pytest.approx(statistics[1].gradient_norm)


def test_each_batch_gives_as_many_steps_as_it_has_update_epochs() -> None:
    ppo = build(update_epochs=3)

    ppo.learn(ppo.snapshot(), rewarded(ppo.propose(4, 1, seed=0)))

    assert ppo.state()["adam.step"] == 3


def test_a_batch_moves_the_policy_no_further_than_the_clipped_objective_lets_it() -> None:
    moved = []
    for clip_range in (0.1, 10.0):
        ppo = build(update_epochs=60, clip_range=clip_range, entropy_weight=0, value_weight=0, learning_rate=0.005)
        good, bad = Proposal((0, 1, 2), 1), Proposal((3, 4, 0), 1)
        before = log_probability(ppo, good)
        ppo.learn(ppo.snapshot(), rewarded([good, bad], [1.0, 0.0]))
        moved.append(log_probability(ppo, good) - before)

    assert 0 < moved[0] < 1 < moved[1]


def test_a_late_batch_is_compared_with_its_own_snapshot() -> None:
    """Its decisions have become likelier already by more than the clip range: nothing is left to learn from it."""
    ppo = build(entropy_weight=0, value_weight=0)
    old = ppo.snapshot()
    good, bad = Proposal((0, 1, 2), 1), Proposal((3, 4, 0), 1)
    batch = rewarded([good, bad], [1.0, 0.0])
    moved = build(update_epochs=60, clip_range=10.0, entropy_weight=0, value_weight=0)
    moved.learn(old, batch)
    ppo.restore(moved.snapshot(), ppo.state() | {"adam.step": torch.tensor(0.0)}, History())

    late = ppo.learn(old, batch)
    fresh = ppo.learn(moved.snapshot(), batch)

    assert late.gradient_norm == 0
    assert fresh.gradient_norm is not None
    assert fresh.gradient_norm > 0
