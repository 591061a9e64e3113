"""`CurveExtrapolationRule`: stops what will hardly become good (after Domhan, Springenberg & Hutter 2015)."""

from collections.abc import Sequence
from statistics import median

import numpy as np
from nas_api.spec import CurveExtrapolation

from nas_controller.early_stopping.curve import Completed, Curve
from nas_controller.early_stopping.rule import StoppingRule

# Exponents that are tried: from curves that rise for long to such that are soon flat.
_EXPONENTS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
_TOLERANCE = 1e-9  # of the arithmetic
# Completed trials whose own curves tell how wrong an extrapolation is.
_NEWEST = 100


class CurveExtrapolationRule(StoppingRule):
    """Extrapolates a curve to the end of the training, and stops it if it is unlikely to beat the others there.

    How wrong extrapolations are is measured: the curves of the newest completed trials, cut at the same step, are
    extrapolated too and compared with what became of them. The probability to beat others is the part of these errors
    that would be enough. With n completed trials it is never below 1 / (n + 1): with few of them nothing is stopped.
    """

    def __init__(self, settings: CurveExtrapolation) -> None:
        self._settings = settings
        self._errors: dict[tuple[int, int], float] = {}  # by trial and step

    def stops(self, trial: int, curve: Curve, since: int, completed: Sequence[Completed]) -> bool:
        """See `StoppingRule`."""
        del trial, since
        step = curve.last_step
        if len(curve.steps) < self._settings.min_reports:
            return False
        others = [other for other in completed[-_NEWEST:] if other.curve.last_step > step]
        if not others:
            return False
        finals = [other.curve.best[-1] for other in completed]
        to_beat = max(finals) if self._settings.beat == "Best" else median(finals)
        horizon = int(median(other.curve.last_step for other in others))
        lacking = to_beat - extrapolate(curve.steps, curve.best, horizon)
        # An error that is just enough counts: where all rewards are equal nothing is worse than the best.
        lacking -= _TOLERANCE * abs(to_beat)
        enough = sum(self._error(other, step) >= lacking for other in others)
        return (1 + enough) / (1 + len(others)) < self._settings.threshold

    def _error(self, other: Completed, step: int) -> float:
        """What a completed trial came to, less what its curve up to `step` had promised."""
        key = (other.trial, step)
        if key not in self._errors:
            if len(self._errors) > 100 * _NEWEST:
                self._errors.clear()
            steps, best = other.curve.until(step)
            promised = extrapolate(steps, best, other.curve.last_step) if steps else other.curve.best[0]
            self._errors[key] = other.curve.best[-1] - promised
        return self._errors[key]


def extrapolate(steps: Sequence[int], best: Sequence[float], horizon: int) -> float:
    """The power law `a - b * step^-c` that fits a curve best, at step `horizon`.

    Later points weigh more. A best reward never falls, so the result is at least the last one.

    Args:
        steps: ascending, at least one.
        best: the highest reward up to each step.
        horizon: step to extrapolate to.
    """
    x, y = np.maximum(np.asarray(steps, float), 1.0), np.asarray(best, float)
    if len(x) < 3 or horizon <= steps[-1]:
        return float(y[-1])
    weights = np.arange(1.0, len(x) + 1)
    weights /= weights.sum()
    least, promised = np.inf, float(y[-1])
    for exponent in _EXPONENTS:
        z = x**-exponent
        z_mean, y_mean = weights @ z, weights @ y
        variance = weights @ (z - z_mean) ** 2
        slope = (weights @ ((z - z_mean) * (y - y_mean))) / variance if variance > 0 else 0.0
        error = weights @ (y - y_mean - slope * (z - z_mean)) ** 2
        if error < least:
            least, promised = error, float(y_mean + slope * (float(horizon) ** -exponent - z_mean))
    return max(promised, float(y[-1]))
