"""What a search did not have to train."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas_controller.journal.journal import TrialRecord, TrialState
from nas_controller.trial_result import NOT_PROMOTED


@dataclass(frozen=True, slots=True)
class Savings:
    """Numbers of trials, and seconds of training that they would have taken.

    Attributes:
        replayed: were given the result of an earlier trial of the same architecture.
        replayed_seconds: what those earlier ones had taken.
        stopped: were stopped early.
        stopped_seconds: what they would have taken beyond what they did, if each had gone on for as long as those that
            were trained to their end took in the mean. None: there is no such one.
        not_promoted: had a cheap first training alone.
    """

    replayed: int
    replayed_seconds: float
    stopped: int
    stopped_seconds: float | None
    not_promoted: int


def savings(finished: Sequence[TrialRecord]) -> Savings:
    """What was saved by replaying duplicates, by early stopping and by low fidelity."""
    seconds = {record.sampled.trial: record.train_seconds for record in finished}
    replayed = [record for record in finished if record.replay_of is not None]
    trained = [record for record in finished if record.replay_of is None]
    stopped_early = [record for record in trained if record.state is TrialState.STOPPED_EARLY]
    stopped = [record for record in stopped_early if record.reason != NOT_PROMOTED]
    full = [record.train_seconds for record in trained if record.state is TrialState.SUCCEEDED]
    stopped_seconds = None
    if full:
        mean = sum(full) / len(full)
        stopped_seconds = sum(max(0.0, mean - record.train_seconds) for record in stopped)
    return Savings(
        replayed=len(replayed),
        replayed_seconds=sum(seconds.get(record.replay_of or 0, 0.0) for record in replayed),
        stopped=len(stopped),
        stopped_seconds=stopped_seconds,
        not_promoted=len(stopped_early) - len(stopped),
    )
