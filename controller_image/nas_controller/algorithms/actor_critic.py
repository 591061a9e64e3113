"""`ActorCritic`: policy gradient with a value head at every decision (Mnih et al. 2016; Schulman et al. 2016)."""

from nas_api import spec
from torch import Tensor

from nas_controller.algorithms.critic import WithCritic, generalized_advantages, standardised
from nas_controller.jobs import Statistics
from nas_controller.proposal import Proposal
from nas_controller.spaces import Space


class ActorCritic(WithCritic):
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
        self._settings = controller.algorithm.actor_critic
        super().__init__(space, controller, self._settings, seed)

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
