"""`spec.controller.lowFidelity`: a cheap first training that decides which architectures are trained in full."""

from pydantic import Field

from nas_api.spec.base import SpecModel


class LowFidelity(SpecModel):
    """A cheap first training of every architecture, as in successive halving.

    Only an architecture whose first training is among the best 1 / reductionFactor of all so far is then trained in
    full, from new weights. The others are StoppedEarly, with the reward of their first training, but at most the lowest
    that a full training has got whose first one was as good.
    """

    epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Epochs of the first training. Those of a full one when absent."""
    data_fraction: float = Field(default=1.0, gt=0, le=1)
    """Part of the training samples that the first training sees, the same for all. A task of your own finds it as
    `trial.data_fraction`."""
    reduction_factor: int = Field(default=3, ge=2, le=100)
    """Which part of the architectures is trained in full: one in so many."""

    @property
    def enabled(self) -> bool:
        """Whether there is a first training at all: without fewer epochs or data there is none."""
        return self.epochs is not None or self.data_fraction < 1
