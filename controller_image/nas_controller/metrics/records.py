"""`RecordObserver`: counts what the journal has made durable."""

from collections import deque
from collections.abc import Sequence
from statistics import fmean

from nas_controller.journal.journal import (
    BatchSampled,
    FinalTrainingFinished,
    FirstTrained,
    JournalReader,
    LeaseEnded,
    LeaseGranted,
    PolicyUpdated,
    Record,
    TrialFinished,
    TrialState,
)
from nas_controller.leases import pool_of
from nas_controller.metrics.labels import FAILURES, NO_POOL, OTHER
from nas_controller.metrics.search_metrics import SearchMetrics
from nas_controller.trial_result import NOT_PROMOTED

# The last full trainings, which tell what a training takes: networks grow as a search goes on.
_COMPARED = 100
_READ = 1000


class RecordObserver:
    """Counts records. Call it with each commit, from one thread."""

    def __init__(self, metrics: SearchMetrics, journal: JournalReader) -> None:
        """Looks up how long the last full trainings took, and counts nothing of before.

        Args:
            metrics: where to count.
            journal: that the records come from.
        """
        self._metrics = metrics
        self._journal = journal
        last = journal.finished(after=max(0, journal.recover().last_sequence - _READ), limit=_READ)
        full = (r.train_seconds for r in last if r.state is TrialState.SUCCEEDED and r.replay_of is None)
        self._full_seconds = deque(full, maxlen=_COMPARED)

    def __call__(self, records: Sequence[Record], seconds: float) -> None:
        """`records` have become durable together, which took `seconds`."""
        self._metrics.commit_seconds.observe(seconds)
        for record in records:
            self._count(record)

    def _count(self, record: Record) -> None:
        metrics = self._metrics
        match record:
            case LeaseGranted():
                metrics.leases_granted[self._pool(record.lease),].inc()
            case LeaseEnded():
                metrics.leases_ended[self._pool(record.lease), record.reason.lower()].inc()
            case FirstTrained():
                if record.promoted:  # one that is not ends with its trial
                    metrics.leases_ended[self._pool(record.lease), "finished"].inc()
            case TrialFinished():
                self._count_trial(record)
            case FinalTrainingFinished():
                pool = self._pool(record.lease)
                metrics.final_trainings[pool, record.state.outcome].inc()
                metrics.device_seconds[pool, "final_training"].inc(record.device_seconds)
                if record.lease is not None:
                    metrics.leases_ended[pool, "finished"].inc()
            case BatchSampled():
                metrics.trials_sampled.inc(len(record.trials))
            case PolicyUpdated():
                metrics.updates.inc()
                metrics.version_lag.observe(record.lag)

    def _count_trial(self, record: TrialFinished) -> None:
        metrics, pool = self._metrics, self._pool(record.lease)
        if record.replay_of is not None:
            metrics.trials_finished[NO_POOL, "replayed"].inc()
            [twin] = self._journal.trials(after=record.replay_of - 1, limit=1)
            self._save("duplicates", twin.train_seconds)
            return
        metrics.trials_finished[pool, record.state.outcome].inc()
        if record.state is TrialState.FAILED:
            metrics.trial_failures[record.reason if record.reason in FAILURES else OTHER,].inc()
        if record.lease is None:
            return
        metrics.leases_ended[pool, "finished"].inc()
        metrics.device_seconds[pool, "search"].inc(record.device_seconds)
        metrics.trial_seconds[pool,].observe(record.train_seconds)
        if record.state is TrialState.SUCCEEDED:
            metrics.reward.observe(record.reward)
            self._full_seconds.append(record.train_seconds)
        elif record.state is TrialState.STOPPED_EARLY:
            by = "low_fidelity" if record.reason == NOT_PROMOTED else "early_stopping"
            full = fmean(self._full_seconds) if self._full_seconds else 0.0
            self._save(by, max(0.0, full - record.train_seconds))

    def _save(self, by: str, seconds: float) -> None:
        self._metrics.saved_trials[by,].inc()
        self._metrics.saved_seconds[by,].inc(seconds)

    def _pool(self, lease: str | None) -> str:
        return self._metrics.pool(pool_of(lease)) if lease is not None else NO_POOL
