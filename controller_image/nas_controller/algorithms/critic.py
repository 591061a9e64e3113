"""`WithCritic`: what the policy gradients have in common that learn a value at every decision."""

import torch
from nas_api import spec
from torch import Tensor, nn

from nas_controller.algorithms.moving_average import MovingAverage
from nas_controller.algorithms.policy_gradient import PolicyGradient
from nas_controller.policy import Evaluation, LSTMPolicy
from nas_controller.spaces import Space

_SPREAD_DECAY = 0.99
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


class WithCritic(PolicyGradient):
    """A policy with a value head, and the usual size of the differences of rewards from the baseline."""

    def __init__(
        self, space: Space, controller: spec.Controller, settings: spec.ActorCritic | spec.PPO, seed: int
    ) -> None:
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
        self._spread = MovingAverage(_SPREAD_DECAY)

    def _averages(self) -> dict[str, MovingAverage]:
        return {**super()._averages(), "spread": self._spread}


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
