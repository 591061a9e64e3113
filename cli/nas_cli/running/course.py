"""`Course`: how the rewards of a running search go, read from its journal bit by bit."""

from collections import deque
from dataclasses import dataclass

from nas_controller.journal.journal import TrialRecord, TrialState, UpdateRecord

from nas_cli.search_results import SearchResults, metric_of

RECENT = 50  # trials in the running mean
_LAST = 30  # trials that are shown where there is room
_ASKED = 8  # trials that are asked how long the next ones will take


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """A finished trial in a line."""

    record: TrialRecord
    metric: float | None
    """What `spec.reward` makes the reward of, before scale and exponent."""


class Course:
    """Grows with `read`."""

    def __init__(self, results: SearchResults) -> None:
        """Reads what there is."""
        self._results = results
        self.rewards: list[float] = []
        """Of all finished trials, in the order in which they finished."""
        self.last: deque[FinishedTrial] = deque(maxlen=_LAST)
        """The last ones that finished, newest last."""
        self.new: deque[FinishedTrial] = deque(maxlen=_ASKED)
        """Of those the last that have finished since this was made, and tell how fast it goes."""
        self.best: FinishedTrial | None = None
        """The one with the highest reward, the earlier among equals."""
        self.update: UpdateRecord | None = None
        """The newest update of the policy."""
        self.replayed = 0
        """Trials that were given the result of another one, stopped or not."""
        self.stopped_early = 0
        """Trials that were trained, and not to the end."""
        self._sequence = 0
        before = results.finished()
        for record in before:
            self._count(record)
        if before:
            since = before[-_LAST - 1].sequence if len(before) > _LAST else 0
            self.last.extend(map(self._finished, results.finished(after=since, measurements=True)))
        best = results.best(1)
        self.best = self._finished(best[0]) if best else None
        self._read_updates()

    def read(self) -> list[FinishedTrial]:
        """Reads what is new. Returns the trials that have finished since the last call."""
        new = [self._finished(record) for record in self._results.finished(after=self._sequence, measurements=True)]
        for trial in new:
            self._count(trial.record)
            self.last.append(trial)
            self.new.append(trial)
            if trial.record.state is TrialState.SUCCEEDED and trial.record.reward is not None:
                best = self.best.record.reward if self.best else None
                if best is None or trial.record.reward > best:
                    self.best = trial
        self._read_updates()
        return new

    def recent_mean(self) -> float | None:
        """Mean reward of the last trials."""
        recent = self.rewards[-RECENT:]
        return sum(recent) / len(recent) if recent else None

    def _finished(self, record: TrialRecord) -> FinishedTrial:
        return FinishedTrial(record, metric_of(record, self._results.search.spec.reward))

    def _count(self, record: TrialRecord) -> None:
        self._sequence = record.sequence
        self.rewards.append(record.reward or 0.0)
        if record.replay_of is not None:
            self.replayed += 1
        elif record.state is TrialState.STOPPED_EARLY:
            self.stopped_early += 1

    def _read_updates(self) -> None:
        new = self._results.updates(after=self.update.version if self.update else 0)
        if new:
            self.update = new[-1]
