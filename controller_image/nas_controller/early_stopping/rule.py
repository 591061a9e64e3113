"""`StoppingRule`: the one interface of the rules that stop trials early."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nas_controller.early_stopping.curve import Completed, Curve


class StoppingRule(ABC):
    """Says which trials should stop. A function of their curves alone, so that a restart changes nothing."""

    @abstractmethod
    def stops(self, trial: int, curve: Curve, since: int, completed: Sequence[Completed]) -> bool:
        """Whether a trial in training should stop.

        Args:
            trial: its number.
            curve: how it has gone so far, one point at least.
            since: the step up to which the rule has been asked about it before.
            completed: the trials that were trained to their end, in the order in which they finished.
        """

    def observe(self, trial: int, curve: Curve) -> None:  # noqa: B027 - most rules keep nothing
        """Takes the curve of a trial that it need not judge: it has a result, or was judged before a restart."""

    def forget(self, trial: int) -> None:  # noqa: B027 - most rules keep nothing
        """What a trial has shown so far does not count: it failed, or its training begins once more."""
