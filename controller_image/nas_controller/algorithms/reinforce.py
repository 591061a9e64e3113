"""`Reinforce`: policy gradient with a moving-average baseline (Williams 1992; paper, section 3.2)."""

import torch
from nas_api import spec
from torch import Tensor

from nas_controller.algorithms.policy_gradient import PolicyGradient
from nas_controller.jobs import Statistics
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal
from nas_controller.spaces import Space


class Reinforce(PolicyGradient):
    """REINFORCE: each batch of m architectures gives one gradient.

    It is the gradient of

        -(1/m) sum_k log P(a_k) (R_k - b) - entropy_weight * H

    at the parameters that the batch was sampled from. log P(a_k) covers all decisions of architecture k, H is the mean
    entropy of a decision in nats, and b the baseline of `PolicyGradient`, which leaves the gradient unbiased.
    """

    name = "REINFORCE"

    def __init__(self, space: Space, controller: spec.Controller, seed: int) -> None:
        settings = controller.algorithm.reinforce
        policy = LSTMPolicy(space, controller.policy, torch.Generator().manual_seed(seed))
        super().__init__(
            policy,
            policy,
            controller.parallelism,
            learning_rate=settings.learning_rate,
            max_gradient_norm=settings.max_gradient_norm,
            baseline_decay=settings.baseline_decay,
        )
        self._entropy_weight = settings.entropy_weight

    def _update(self, snapshot: Tensor, proposals: list[Proposal], rewards: Tensor, baselines: Tensor) -> Statistics:
        self._point_at(snapshot)
        evaluation = self._policy.evaluate(proposals)
        entropy = evaluation.entropy.mean()
        objective = (evaluation.log_probability * (rewards - baselines)).mean() + self._entropy_weight * entropy
        norm = self._push(-objective)
        return Statistics(baseline=float(baselines.mean()), entropy=float(entropy.detach()), gradient_norm=norm)
