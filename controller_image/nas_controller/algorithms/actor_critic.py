"""`ActorCritic`: policy gradient with a value head at every decision (Mnih et al. 2016; Schulman et al. 2016)."""

import torch
from nas_api import spec
from torch import Tensor, nn

from nas_controller.algorithms.moving_average import MovingAverage
from nas_controller.algorithms.policy_gradient import PolicyGradient
from nas_controller.jobs import Statistics
from nas_controller.policy import Evaluation, LSTMPolicy
from nas_controller.proposal import Proposal
from nas_controller.spaces import Space

SPREAD_DECAY = 0.99
"""Weight of the past in the usual size of differences. It is longer than that of a baseline, which follows the policy:
when all that is proposed is nearly the same, small differences should not be magnified at once."""


class ValueHead(nn.Module):
    """A policy with an estimate, at every decision, of the reward that is to come."""

    def __init__(self, policy: LSTMPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.value = nn.Linear(policy.lstm.hidden_size, 1, device="meta").to_empty(device="cpu")
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def values(self, evaluation: Evaluation) -> Tensor:
        """The estimate in the state that each decision was taken in, shape [T, m], float64."""
        values: Tensor = self.value(evaluation.hidden).squeeze(2).double()
        return values


class ActorCritic(PolicyGradient):
    """Advantage actor-critic: each batch of m architectures gives one gradient.

    A value head on the LSTM learns V_t, the reward that is to be expected once t decisions are made. All of the reward
    comes with the last decision, so that the temporal differences are d_t = V_{t+1} - V_t, the last one d_T = R - V_T,
    and the advantage of a decision is A_t = sum_k lambda^k d_{t+k}: what the decision itself has changed, where
    REINFORCE gives to all decisions of an architecture alike the difference of its reward from the average. The
    gradient is that of

        -(1/m) sum_k sum_t A_t log P(a_t) + value_weight * mean of (V_t + A_t - V_t')^2 over V_t' - entropy_weight * H

    at the parameters that the batch was sampled from, A_t and V_t being constants in it.

    Rewards are standardised: their difference from the moving average of the batches before, in units of a moving
    average of the size of such differences. So V = 0 is REINFORCE with its baseline, the weights of the loss mean the
    same in every search, and the policy goes on learning when all that it still proposes is good. Rewards that are all
    the same teach nothing.
    """

    name = "ActorCritic"

    def __init__(self, space: Space, controller: spec.Controller, seed: int) -> None:
        self._settings = settings = controller.algorithm.actor_critic
        policy = LSTMPolicy(space, controller.policy, torch.Generator().manual_seed(seed))
        self._critic = ValueHead(policy)
        super().__init__(
            policy,
            self._critic,
            controller.parallelism,
            learning_rate=settings.learning_rate,
            max_gradient_norm=settings.max_gradient_norm,
            baseline_decay=settings.baseline_decay,
        )
        self._spread = MovingAverage(SPREAD_DECAY)

    def _averages(self) -> dict[str, MovingAverage]:
        return {**super()._averages(), "spread": self._spread}

    def _update(self, snapshot: Tensor, proposals: list[Proposal], rewards: Tensor, baselines: Tensor) -> Statistics:
        settings = self._settings
        rewards = standardised(rewards - baselines, self._spread)
        self._point_at(snapshot)
        evaluation = self._policy.evaluate(proposals)
        values = self._critic.values(evaluation)
        advantages = generalized_advantages(values.detach(), evaluation.made, rewards, settings.gae_lambda)
        targets = (values.detach() + advantages)[evaluation.made]
        entropy = evaluation.entropy.mean()
        objective = (evaluation.decision_log_probability * advantages).sum(0).mean() + settings.entropy_weight * entropy
        error = (values[evaluation.made] - targets).square().sum() / max(len(targets), 1)
        norm = self._push(settings.value_weight * error - objective)
        return Statistics(baseline=float(baselines.mean()), entropy=float(entropy.detach()), gradient_norm=norm)


def standardised(differences: Tensor, spread: MovingAverage) -> Tensor:
    """Differences from a baseline in units of their usual size, which these here count towards.

    Args:
        differences: shape [m], float64.
        spread: the moving average of their sizes.
    """
    sizes = differences.abs().clamp(max=1e300)
    spread.add(sizes.tolist())
    assert spread.value is not None
    # Without any difference, or none but rounding errors, there is nothing to tell apart.
    return differences.clamp(-1e300, 1e300) / spread.value if spread.value > 1e-12 else torch.zeros_like(differences)


def generalized_advantages(values: Tensor, made: Tensor, rewards: Tensor, gae_lambda: float) -> Tensor:
    """The advantage of each decision, with the reward at the end and no discount, shape [T, m], float64.

    Args:
        values: at each decision, shape [T, m]; anything where none was made.
        made: which decisions there are, shape [T, m], bool.
        rewards: shape [m].
        gae_lambda: lambda (Schulman et al. 2016, equation 16).
    """
    advantages = torch.zeros_like(values)
    following, advantage = rewards, torch.zeros_like(rewards)
    for t in reversed(range(len(values))):
        step = following - values[t] + gae_lambda * advantage
        advantage = torch.where(made[t], step, advantage)
        following = torch.where(made[t], values[t], following)
        advantages[t] = torch.where(made[t], step, 0.0)
    return advantages
