"""`ParameterServer`: holds the policy's parameters in shards and applies gradients to them (paper, section 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor


class ParameterServer:
    """S shards of one flat vector of parameters, each a contiguous slice with its own Adam moments.

    Replicas push gradients whenever they have one. A gradient may have been computed at older parameters; it is applied
    to the newest, as it is: only its application is late, so there is nothing to correct by importance weights. Adam
    works on each parameter alone, so that the number of shards changes nothing, not a bit, in the result.
    """

    def __init__(self, parameters: Tensor, *, shards: int, learning_rate: float, gradients_per_update: int = 1) -> None:
        """Takes over a copy of `parameters`, shape [parameters], float32."""
        self._parameters = parameters.detach().clone()
        self._count = shards
        self._shards = [shard for shard in self._parameters.tensor_split(shards) if len(shard)]
        # `fused=True` would be faster, but rounds the last elements of a shard otherwise than those before.
        self._adam = torch.optim.Adam(self._shards, lr=learning_rate, foreach=True)
        self._gradients_per_update = gradients_per_update
        self._gathered = torch.zeros_like(self._parameters)
        self._gathered_count = 0

    @property
    def parameters(self) -> Tensor:
        """The newest parameters, shape [parameters]: not a copy, changed in place by `push`."""
        return self._parameters

    def push(self, gradient: Tensor) -> None:
        """Gathers a gradient, shape [parameters]; with the last of `gradients_per_update` applies their mean."""
        self._gathered += gradient
        self._gathered_count += 1
        if self._gathered_count < self._gradients_per_update:
            return
        mean = self._gathered / self._gathered_count
        for shard, part in zip(self._shards, mean.tensor_split(self._count), strict=False):
            shard.grad = part
        self._adam.step()
        self._gathered.zero_()
        self._gathered_count = 0

    def state(self) -> dict[str, Tensor]:
        """A copy of the optimizer's state and of the gradients gathered: the same for any number of shards."""
        moments = [self._adam.state[shard] for shard in self._shards if shard in self._adam.state]
        zeros = [torch.zeros_like(self._parameters)]
        return {
            "adam.step": moments[0]["step"].clone() if moments else torch.tensor(0.0),
            "adam.exp_avg": torch.cat([each["exp_avg"] for each in moments] or zeros),
            "adam.exp_avg_sq": torch.cat([each["exp_avg_sq"] for each in moments] or zeros),
            # Nothing gathered, as is usual, need not be written down with every update.
            "gathered": self._gathered[: len(self._gathered) if self._gathered_count else 0].clone(),
            "gathered.count": torch.tensor(self._gathered_count),
        }

    def restore(self, parameters: Tensor, state: Mapping[str, Tensor]) -> None:
        """Puts back `parameters` and what `state()` gave.

        Raises:
            ValueError: something is missing or of another size. Nothing has changed.
        """
        size = self._parameters.shape
        _check("parameters", parameters, size)
        for name in ("adam.step", "gathered.count"):
            _check(name, state.get(name), ())
        for name in ("adam.exp_avg", "adam.exp_avg_sq"):
            _check(name, state.get(name), size)
        gathered_count = int(state["gathered.count"])
        _check("gathered", state.get("gathered"), size if gathered_count else (0,))
        self._parameters.copy_(parameters)
        self._gathered_count = gathered_count
        self._gathered.zero_()
        if gathered_count:
            self._gathered.copy_(state["gathered"])
        self._adam.state.clear()
        if state["adam.step"] > 0:
            parts = (state[name].tensor_split(self._count) for name in ("adam.exp_avg", "adam.exp_avg_sq"))
            for shard, exp_avg, exp_avg_sq in zip(self._shards, *parts, strict=False):
                self._adam.state[shard] = {
                    "step": state["adam.step"].clone(),
                    "exp_avg": exp_avg.clone(),
                    "exp_avg_sq": exp_avg_sq.clone(),
                }


def _check(name: str, tensor: Tensor | None, shape: tuple[int, ...]) -> None:
    if tensor is None:
        raise ValueError(f"the state of the parameter server has no {name!r}")
    if tensor.shape != shape:
        raise ValueError(f"{name!r} of the parameter server has shape {list(tensor.shape)}, not {list(shape)}")
