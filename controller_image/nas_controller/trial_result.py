"""`TrialResult`: what a worker says of a trial, or of a final training."""

from dataclasses import dataclass

from nas_controller.journal.journal import Measurement, TrialState

NOT_PROMOTED = "NotPromoted"
"""Reason of a trial that had a cheap first training alone."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a worker says of a trial, or of a final training. `state` is Succeeded, Failed or StoppedEarly."""

    state: TrialState
    measurements: tuple[Measurement, ...] = ()
    reward: float | None = None  # None: `spec.reward` makes it of the measurements
    reason: str = ""
    message: str = ""
    train_seconds: float = 0.0
    device_seconds: float = 0.0
    weights_bytes: int = 0  # of what a final training has left


def all_workers_lost(lost: int, what: str) -> TrialResult:
    """The result of an architecture, or of a training (`what`), with which as many workers were lost as may be."""
    message = f"{lost} workers were lost with this {what} (controller.lease.maxAttempts)"
    return TrialResult(TrialState.FAILED, reason="AttemptsExhausted", message=message)
