"""`PPO`: proximal policy optimization with the clipped objective (Schulman et al. 2017)."""

import torch
from nas_api import spec
from torch import Tensor

from nas_controller.algorithms.critic import WithCritic, generalized_advantages, standardised
from nas_controller.jobs import Statistics
from nas_controller.proposal import Proposal
from nas_controller.spaces import Space


class PPO(WithCritic):
    """PPO: each batch of m architectures gives several gradient steps, one after the other at the newest parameters.

    Each is the gradient of

        -(1/m) sum_k sum_t min(r_t A_t, clip(r_t, 1 - epsilon, 1 + epsilon) A_t) + value_weight * E - entropy_weight * H

    where r_t is how much likelier decision t is by now than when it was taken, so that a batch teaches no more once
    the policy has moved far enough. The probability when it was taken is that of the snapshot which the batch was
    sampled from: of a late batch, to which the newest policy is a stranger, the decisions that have become likelier
    already are not pushed further. The advantages A_t, from the snapshot's own values, the error E of the value head,
    the standardised rewards and the entropy H are those of `ActorCritic`.
    """

    name = "PPO"

    def __init__(self, space: Space, controller: spec.Controller, seed: int) -> None:
        self._settings = controller.algorithm.ppo
        super().__init__(space, controller, self._settings, seed)

    def _update(self, snapshot: Tensor, proposals: list[Proposal], rewards: Tensor, baselines: Tensor) -> Statistics:
        settings = self._settings
        rewards = standardised(rewards - baselines, self._spread)
        self._point_at(snapshot)
        with torch.no_grad():
            old = self._policy.evaluate(proposals)
            advantages = generalized_advantages(self._critic.values(old), old.made, rewards, settings.gae_lambda)
            targets = (self._critic.values(old) + advantages)[old.made]
        norms = []
        for _ in range(settings.update_epochs):
            self._point_at(self._server.parameters)
            new = self._policy.evaluate(proposals)
            ratio = (new.decision_log_probability - old.decision_log_probability).exp()
            clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
            objective = torch.minimum(ratio * advantages, clipped * advantages).sum(0).mean()
            entropy = new.entropy.mean()
            error = (self._critic.values(new)[old.made] - targets).square().sum() / max(len(targets), 1)
            norms.append(self._push(settings.value_weight * error - objective - settings.entropy_weight * entropy))
        return Statistics(baseline=float(baselines.mean()), entropy=float(old.entropy.mean()), gradient_norm=norms[0])
