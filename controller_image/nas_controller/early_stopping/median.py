"""`MedianRule`: stops what is worse than the median of the trials before (Golovin et al. 2017, section 3.2.2)."""

from collections.abc import Sequence
from statistics import median

from nas_api.spec import MedianStopping

from nas_controller.early_stopping.curve import Completed, Curve
from nas_controller.early_stopping.rule import StoppingRule

# Of the completed trials. As the policy learns, those of long ago say less of what is usual.
_NEWEST = 500


class MedianRule(StoppingRule):
    """The median stopping rule of Google Vizier.

    A trial stops at step s if the best that it has had is below the median of the averages, each over the steps up to
    s, of the trials that were trained to their end.
    """

    def __init__(self, settings: MedianStopping) -> None:
        self._settings = settings

    def stops(self, trial: int, curve: Curve, since: int, completed: Sequence[Completed]) -> bool:
        """See `StoppingRule`."""
        del trial, since
        step = curve.last_step
        if step < self._settings.warmup_steps:
            return False
        means = [mean for other in completed[-_NEWEST:] if (mean := other.curve.mean_by(step)) is not None]
        return len(means) >= self._settings.min_trials and curve.best[-1] < median(means)
