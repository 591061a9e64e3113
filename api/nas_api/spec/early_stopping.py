"""`spec.controller.earlyStopping`: which trials are stopped before their training ends."""

from typing import Literal

from pydantic import Field

from nas_api.spec.base import SpecModel


class MedianStopping(SpecModel):
    """The median stopping rule (Golovin et al. 2017, Google Vizier).

    A trial stops if the best that it has reported is worse than the median of the averages, up to the same step, of the
    trials that were trained to their end.
    """

    min_trials: int = Field(default=5, ge=1, le=1_000_000)
    """Trials trained to their end before any is stopped."""
    warmup_steps: int = Field(default=3, ge=0, le=1_000_000_000)
    """No trial stops before this step: an epoch, in the built-in tasks, and then less than trainer.epochs. The first
    ones say little of what a network is worth."""


class ASHA(SpecModel):
    """Asynchronous successive halving (Li et al. 2020), the variant that stops trials.

    There are rungs at the steps minSteps, minSteps * reductionFactor, minSteps * reductionFactor^2 and so on. At a rung
    a trial stops unless it is among the best 1 / reductionFactor of all that have reached it.
    """

    min_steps: int = Field(default=3, ge=1, le=1_000_000_000)
    """Step of the first rung: an epoch, in the built-in tasks, and then less than trainer.epochs. The first ones say
    little of what a network is worth."""
    reduction_factor: int = Field(default=3, ge=2, le=100)
    """Eta: how many times more steps the next rung has, and which part of the trials goes on to it."""


class CurveExtrapolation(SpecModel):
    """Extrapolation of learning curves (after Domhan, Springenberg & Hutter 2015).

    The best that a trial has reported is extrapolated by a power law to the end of its training. How wrong this is, is
    measured on the trials that were trained to their end. Nothing stops before there are 1 / threshold of these.
    """

    threshold: float = Field(default=0.05, gt=0, lt=1)
    """A trial stops when the probability that it beats the others is below this."""
    beat: Literal["Best", "Median"] = "Best"
    """What to beat: the best of the trials that were trained to their end, or their median, which stops fewer."""
    min_reports: int = Field(default=3, ge=1, le=10_000)
    """Reports of a trial before it can stop."""


class EarlyStopping(SpecModel):
    """Which trials are stopped before their training ends: a union, `type` says which rule is meant.

    The rules look at what the task reports of `reward.metric`. A stopped trial has the state StoppedEarly. Its reward
    is what it had reached, but at most the lowest that a fully trained trial has got which was as good at that step:
    what is stopped never looks better than what it lost to. After 20 trials stopped in a row one is trained to its end.
    """

    type: Literal["None", "Median", "ASHA", "CurveExtrapolation"] = "None"
    """None: every trial is trained to its end, as in the paper."""
    median: MedianStopping = MedianStopping()
    """With `type: Median`."""
    asha: ASHA = ASHA()
    """With `type: ASHA`."""
    curve_extrapolation: CurveExtrapolation = CurveExtrapolation()
    """With `type: CurveExtrapolation`."""

    @property
    def first_step(self) -> tuple[str, int]:
        """The field that says from which step on trials can be stopped, and that step if a task reports every one."""
        return {
            "Median": ("median.warmupSteps", max(1, self.median.warmup_steps)),
            "ASHA": ("asha.minSteps", self.asha.min_steps),
            "CurveExtrapolation": ("curveExtrapolation.minReports", self.curve_extrapolation.min_reports),
        }.get(self.type, ("", 0))
