"""`ASHARule`: asynchronous successive halving (Li et al. 2020), in the variant that stops trials."""

from collections.abc import Sequence

from nas_api.spec import ASHA

from nas_controller.early_stopping.curve import Completed, Curve
from nas_controller.early_stopping.rule import StoppingRule


class ASHARule(StoppingRule):
    """Rungs at steps r, r * eta, r * eta^2, ...: a trial goes on past a rung if it is among the best 1/eta there.

    It is compared with all trials that have reached the rung, in training, stopped or complete. There is no waiting for
    more of them, and no trial is taken up again that was stopped: that would need checkpoints.
    """

    def __init__(self, settings: ASHA) -> None:
        self._settings = settings
        self._rungs: dict[int, dict[int, float]] = {}  # by step: best reward of each trial up to there

    def stops(self, trial: int, curve: Curve, since: int, completed: Sequence[Completed]) -> bool:
        """See `StoppingRule`."""
        del completed
        reached = self._reached(curve, since)
        for rung in reached:
            self._enter(trial, curve, rung)
        return any(self._is_behind(trial, rung) for rung in reached)

    def observe(self, trial: int, curve: Curve) -> None:
        """See `StoppingRule`."""
        for rung in self._reached(curve, since=-1):
            self._enter(trial, curve, rung)

    def forget(self, trial: int) -> None:
        """See `StoppingRule`."""
        for values in self._rungs.values():
            values.pop(trial, None)

    def _reached(self, curve: Curve, since: int) -> list[int]:
        """The rungs that a curve has reached after step `since`."""
        rung, found = self._settings.min_steps, []
        while rung <= curve.last_step:
            if rung > since:
                found.append(rung)
            rung *= self._settings.reduction_factor
        return found

    def _enter(self, trial: int, curve: Curve, rung: int) -> None:
        best = curve.best_by(rung)
        # A task that reports seldom has its first step beyond the rung.
        self._rungs.setdefault(rung, {})[trial] = curve.best[0] if best is None else best

    def _is_behind(self, trial: int, rung: int) -> bool:
        values = self._rungs[rung]
        if len(values) < self._settings.reduction_factor:
            return False
        better = sum(value > values[trial] for value in values.values())
        return better * self._settings.reduction_factor >= len(values)
