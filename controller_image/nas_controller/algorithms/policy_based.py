"""`PolicyBased`: what the algorithms have in common that learn the parameters of an LSTM policy."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.algorithms.imitation import imitate
from nas_controller.history import History
from nas_controller.parameter_server import ParameterServer
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal


class PolicyBased(Algorithm):
    """A policy, and a parameter server that holds its parameters.

    One network serves all replicas: it is pointed at a replica's snapshot of the parameters, or at the newest.
    """

    def __init__(
        self,
        policy: LSTMPolicy,
        network: nn.Module,
        *,
        shards: int,
        learning_rate: float,
        max_gradient_norm: float,
        gradients_per_update: int = 1,
    ) -> None:
        """Takes the policy and the network that it is a part of, or is."""
        self._policy = policy
        self._network = network
        self._max_gradient_norm = max_gradient_norm
        self._server = ParameterServer(
            parameters_to_vector(network.parameters()),
            shards=shards,
            learning_rate=learning_rate,
            gradients_per_update=gradients_per_update,
        )

    def imitate(self, proposals: Sequence[Proposal]) -> None:
        """Fits the policy to given architectures: see `imitation`."""
        self._point_at(self._server.parameters)
        imitate(self._policy, proposals)
        self._server.restore(parameters_to_vector(self._network.parameters()).detach(), self._server.state())

    def snapshot(self) -> Tensor:
        """A copy of the newest parameters, shape [parameters], float32."""
        return self._server.parameters.clone()

    def state(self) -> dict[str, Tensor]:
        """A copy of the parameter server's state."""
        return self._server.state()

    def restore(self, snapshot: Tensor, state: Mapping[str, Tensor], history: History) -> None:
        """Puts back what `snapshot()` and `state()` gave.

        Raises:
            ValueError: they are of another algorithm, space or size.
        """
        del history
        self._server.restore(snapshot, state)

    def _point_at(self, parameters: Tensor) -> None:
        vector_to_parameters(parameters, self._network.parameters())

    def _push(self, loss: Tensor) -> float:
        """Hands the gradient of `loss`, where the network points, to the parameter server. Returns its norm."""
        # Anchors are unused where architectures have one layer: zeros stand for their gradient.
        parameters = list(self._network.parameters())
        gradient = parameters_to_vector(torch.autograd.grad(loss, parameters, materialize_grads=True))
        norm = float(gradient.norm())
        if norm > self._max_gradient_norm:
            gradient *= self._max_gradient_norm / norm
        if not math.isfinite(norm):  # of a reward near the largest float: no direction is left in it
            gradient = torch.zeros_like(gradient)
        self._server.push(gradient)
        return norm
