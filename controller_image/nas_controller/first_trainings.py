"""`FirstTrainings`: which architectures deserve a full training after a cheap first one (`controller.lowFidelity`).

Pure state, made of what the journal has, so that a restart changes nothing.
"""

from collections.abc import Iterable

from nas_api.spec import LowFidelity

from nas_controller.journal.journal import FirstTraining


class FirstTrainings:
    """The rewards of all first trainings, and of the full ones that followed."""

    def __init__(self, settings: LowFidelity, recorded: Iterable[FirstTraining]) -> None:
        """Takes the first trainings so far."""
        self._reduction_factor = settings.reduction_factor
        self._rewards: list[float] = []
        self._full: list[tuple[float, float]] = []  # reward of the first training and of the full one
        for first in recorded:
            self._rewards.append(first.reward)
            if first.full_reward is not None:
                self._full.append((first.reward, first.full_reward))

    def promotes(self, reward: float) -> bool:
        """A first training has ended with this reward. Whether a full one follows.

        It does while there are too few to compare with, and never for fewer than the best 1 / reductionFactor.
        """
        self._rewards.append(reward)
        if len(self._rewards) < self._reduction_factor:
            return True
        better = sum(other > reward for other in self._rewards)
        return better * self._reduction_factor < len(self._rewards)

    def add_full(self, first: float, full: float) -> None:
        """The full training that followed a first one with reward `first` has earned `full`."""
        self._full.append((first, full))

    def reward_without_full(self, first: float) -> float:
        """What an architecture is worth that is not trained in full: no more than any that it lost to has got."""
        return min(first, min((full for other, full in self._full if other >= first), default=first))
