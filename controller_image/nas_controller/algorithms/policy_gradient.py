"""`PolicyGradient`: what the algorithms have in common that learn by the gradient of the LSTM policy."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from nas_api import spec
from torch import Tensor, nn

from nas_controller.algorithms.moving_average import MovingAverage
from nas_controller.algorithms.policy_based import PolicyBased
from nas_controller.history import History
from nas_controller.jobs import Statistics
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal, Rewarded


class PolicyGradient(PolicyBased):
    """A policy that learns from batches, and a baseline.

    The baseline is an exponential moving average of the rewards of the batches before, so that it depends on no action
    of the batch at hand. Before the first batch there is no average. There it is, for each architecture, the mean
    reward of the others in its batch, which does not depend on its own action either; 0 would push up every
    architecture of the first batch for no merit but that rewards are positive, and is used only where a batch has a
    single architecture.
    """

    name: str
    """Of the algorithm, in messages."""

    def __init__(
        self,
        policy: LSTMPolicy,
        network: nn.Module,
        parallelism: spec.Parallelism,
        *,
        learning_rate: float,
        max_gradient_norm: float,
        baseline_decay: float,
    ) -> None:
        """Takes the policy and the network that it is a part of, or is."""
        super().__init__(
            policy,
            network,
            shards=parallelism.parameter_shards,
            learning_rate=learning_rate,
            max_gradient_norm=max_gradient_norm,
            gradients_per_update=parallelism.gradients_per_update,
        )
        self._baseline = MovingAverage(baseline_decay)

    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """Samples `count` architectures from the policy at its newest parameters."""
        self._point_at(self._server.parameters)
        return self._policy.sample(count, depth, torch.Generator().manual_seed(seed)).proposals

    def learn(self, snapshot: Tensor, batch: Sequence[Rewarded]) -> Statistics:
        """Learns from one batch, then counts its rewards into the baseline.

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
        statistics = self._update(
            snapshot,
            [rewarded.proposal for rewarded in batch],
            torch.tensor(rewards, dtype=torch.float64),
            torch.tensor(baselines, dtype=torch.float64),
        )
        self._baseline.add(rewards)
        return statistics

    @abstractmethod
    def _update(self, snapshot: Tensor, proposals: list[Proposal], rewards: Tensor, baselines: Tensor) -> Statistics:
        """Learns from a batch of m proposals. `rewards` and `baselines` have shape [m], float64."""

    def state(self) -> dict[str, Tensor]:
        """A copy of the parameter server's state and of the averages."""
        return {**super().state(), **{name: average.state() for name, average in self._averages().items()}}

    def restore(self, snapshot: Tensor, state: Mapping[str, Tensor], history: History) -> None:
        """Puts back what `snapshot()` and `state()` gave.

        Raises:
            ValueError: they are of another algorithm, space or size.
        """
        averages = self._averages()
        for name in averages:
            if name not in state or state[name].shape != (2,):
                raise ValueError(f"the state is not one of {self.name}: it has no {name}")
        super().restore(snapshot, state, history)
        for name, average in averages.items():
            average.restore(state[name])

    def _averages(self) -> dict[str, MovingAverage]:
        """What is averaged over batches, by the name in the state."""
        return {"baseline": self._baseline}

    def _baselines(self, rewards: Sequence[float]) -> list[float]:
        if (average := self._baseline.value) is not None:
            return [average] * len(rewards)
        if len(rewards) == 1:
            return [0.0]
        total = sum(rewards)
        return [(total - reward) / (len(rewards) - 1) for reward in rewards]
