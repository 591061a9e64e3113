"""`MovingAverage`: of rewards, as a baseline."""

from collections.abc import Iterable

import torch
from torch import Tensor


class MovingAverage:
    """An exponential moving average that is a true mean from the first value on."""

    def __init__(self, decay: float) -> None:
        """Takes the weight of the past."""
        self._decay = decay
        # Dividing by the weight takes out the zero that the sum began with.
        self._sum = 0.0
        self._weight = 0.0

    @property
    def value(self) -> float | None:
        """The average. None before the first value."""
        return self._sum / self._weight if self._weight else None

    def add(self, values: Iterable[float]) -> None:
        """Counts `values` in, one after the other: their order matters."""
        for value in values:
            self._sum = self._decay * self._sum + (1 - self._decay) * value
            self._weight = self._decay * self._weight + (1 - self._decay)

    def state(self) -> Tensor:
        """All that it is, shape [2], float64."""
        return torch.tensor([self._sum, self._weight], dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """Puts back what `state()` gave."""
        self._sum, self._weight = state.tolist()
