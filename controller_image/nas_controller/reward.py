"""The reward of a trial, from what its task measured (paper, section 4)."""

import math
from collections.abc import Sequence
from dataclasses import replace

from nas_api.spec import Reward

from nas_controller.journal.journal import Measurement, TrialState
from nas_controller.trial_result import TrialResult


class NoRewardError(Exception):
    """The measurements make no reward: the trial has failed. `reason` is a CamelCase word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def compute_reward(measurements: Sequence[Measurement], spec: Reward) -> float:
    """`scale * aggregate(metric over the window) ^ exponent`.

    Raises:
        NoRewardError: the metric was never reported, or the result is not a finite number.
    """
    values = [m.metrics[spec.metric] for m in measurements if spec.metric in m.metrics]
    if not values:
        reported = sorted({name for m in measurements for name in m.metrics})
        raise NoRewardError(
            "NoMetric",
            f"the task never reported {spec.metric!r}, the metric of spec.reward; "
            + (f"it reported {', '.join(reported)}" if reported else "call report(step, name=value) at least once"),
        )
    window = values[-spec.window :] if spec.window else values
    if not all(math.isfinite(value) for value in window):
        raise NoRewardError("NonFiniteMetric", f"{spec.metric} is {next(v for v in window if not math.isfinite(v))}")
    value = {
        "Max": max(window),
        "Min": min(window),
        "Mean": math.fsum(window) / len(window),
        "Last": window[-1],
    }[spec.aggregate]
    try:
        reward = spec.scale * math.pow(value, spec.exponent)
    except (OverflowError, ValueError, ZeroDivisionError):
        reward = math.nan
    if not math.isfinite(reward):
        raise NoRewardError(
            "NonFiniteMetric", f"{spec.scale} * {value} ^ {spec.exponent} is not a finite number: see spec.reward"
        )
    return reward


def with_reward(result: TrialResult, spec: Reward) -> TrialResult:
    """The result with the reward that it has, or that its measurements make. Failed, if they make none."""
    if result.state is TrialState.FAILED or result.reward is not None:
        return result
    try:
        return replace(result, reward=compute_reward(result.measurements, spec))
    except NoRewardError as error:
        return replace(result, state=TrialState.FAILED, reason=error.reason, message=str(error))
