"""`Reinforce`: policy gradient with a moving-average baseline (Williams 1992; paper, section 3.2)."""

import math
from collections.abc import Mapping, Sequence

import torch
from nas_api import spec
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.history import History
from nas_controller.jobs import Statistics
from nas_controller.parameter_server import ParameterServer
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import Space


class Reinforce(Algorithm):
    """REINFORCE: each batch of m architectures gives one gradient.

    It is the gradient of

        -(1/m) sum_k log P(a_k) (R_k - b) - entropy_weight * H

    at the parameters that the batch was sampled from. log P(a_k) covers all decisions of architecture k, H is the mean
    entropy of a decision in nats, and b the baseline: an exponential moving average of the rewards of the batches
    before, so that it depends on no action of this one, and the gradient stays unbiased.

    Before the first batch there is no average. There b is, for each architecture, the mean reward of the others in its
    batch, which does not depend on its own action either. The paper does not say what it does; b = 0 would push up
    every architecture of the first batch for no merit but that rewards are positive. It is used only where a batch has
    a single architecture.

    One policy network serves all replicas: it is pointed at the replica's snapshot of the parameters, or at the newest.
    """

    def __init__(self, space: Space, controller: spec.Controller, seed: int) -> None:
        self._settings = controller.algorithm.reinforce
        self._policy = LSTMPolicy(space, controller.policy, torch.Generator().manual_seed(seed))
        self._server = ParameterServer(
            parameters_to_vector(self._policy.parameters()),
            shards=controller.parallelism.parameter_shards,
            learning_rate=self._settings.learning_rate,
            gradients_per_update=controller.parallelism.gradients_per_update,
        )
        # The moving average is reward_sum / reward_weight: dividing by the weight makes it a true mean from the start.
        self._reward_sum = 0.0
        self._reward_weight = 0.0

    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """Samples `count` architectures from the policy at its newest parameters."""
        vector_to_parameters(self._server.parameters, self._policy.parameters())
        return self._policy.sample(count, depth, torch.Generator().manual_seed(seed)).proposals

    def learn(self, snapshot: Tensor, batch: Sequence[Rewarded]) -> Statistics:
        """Hands the gradient of one batch to the parameter server, then counts its rewards into the baseline.

        They are counted in the order in which they stand: callers give the trials of a batch in order.

        Raises:
            ValueError: the batch is empty, a reward is not finite or a proposal not of this space. Nothing has changed.
        """
        rewards = [rewarded.reward for rewarded in batch]
        if not rewards:
            raise ValueError("a batch without rewards has no gradient")
        if not all(map(math.isfinite, rewards)):
            raise ValueError(f"rewards must be finite: {rewards}")
        baselines = self._baselines(rewards)
        advantages = torch.tensor(rewards, dtype=torch.float64) - torch.tensor(baselines, dtype=torch.float64)

        vector_to_parameters(snapshot, self._policy.parameters())
        evaluation = self._policy.evaluate([rewarded.proposal for rewarded in batch])
        entropy = evaluation.entropy.mean()
        loss = -(evaluation.log_probability * advantages).mean() - self._settings.entropy_weight * entropy
        gradient = self._gradient(loss)
        norm = float(gradient.norm())
        if norm > self._settings.max_gradient_norm:
            gradient *= self._settings.max_gradient_norm / norm
        if not math.isfinite(norm):  # of a reward near the largest float: no direction is left in it
            gradient = torch.zeros_like(gradient)
        self._server.push(gradient)

        for reward in rewards:
            decay = self._settings.baseline_decay
            self._reward_sum = decay * self._reward_sum + (1 - decay) * reward
            self._reward_weight = decay * self._reward_weight + (1 - decay)
        return Statistics(baseline=sum(baselines) / len(baselines), entropy=float(entropy.detach()), gradient_norm=norm)

    def snapshot(self) -> Tensor:
        """A copy of the newest parameters, shape [parameters], float32."""
        return self._server.parameters.clone()

    def state(self) -> dict[str, Tensor]:
        """A copy of the parameter server's state and of the baseline."""
        baseline = torch.tensor([self._reward_sum, self._reward_weight], dtype=torch.float64)
        return {**self._server.state(), "baseline": baseline}

    def restore(self, snapshot: Tensor, state: Mapping[str, Tensor], history: History) -> None:
        """Puts back what `snapshot()` and `state()` gave.

        Raises:
            ValueError: they are of another algorithm, space or size.
        """
        del history
        if "baseline" not in state or state["baseline"].shape != (2,):
            raise ValueError("the state is not one of REINFORCE: it has no baseline")
        self._server.restore(snapshot, state)
        self._reward_sum, self._reward_weight = state["baseline"].tolist()

    def _gradient(self, loss: Tensor) -> Tensor:
        # Anchors are unused where architectures have one layer: zeros stand for their gradient.
        parameters = list(self._policy.parameters())
        return parameters_to_vector(torch.autograd.grad(loss, parameters, materialize_grads=True))

    def _baselines(self, rewards: Sequence[float]) -> list[float]:
        if self._reward_weight:
            return [self._reward_sum / self._reward_weight] * len(rewards)
        if len(rewards) == 1:
            return [0.0]
        total = sum(rewards)
        return [(total - reward) / (len(rewards) - 1) for reward in rewards]
