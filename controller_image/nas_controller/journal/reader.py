"""`SqliteReader`: reads a journal in a SQLite file, also while another process writes it."""

import json
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_controller.history import History
from nas_controller.journal.apply import decode_measurements
from nas_controller.journal.journal import (
    EndedLease,
    FinalTrainingRecord,
    FirstTraining,
    JournalError,
    JournalReader,
    LeaseSpan,
    OpenBatch,
    OpenLease,
    PlannedTraining,
    Recovered,
    ReportedPoint,
    SampledTrial,
    TrainedResult,
    TrialRecord,
    TrialState,
    UpdateRecord,
)
from nas_controller.journal.opening import open_for_reading
from nas_controller.leases import pool_of
from nas_controller.proposal import Proposal, Rewarded

_LARGEST_INTEGER = 2**63 - 1  # that SQLite can compare with; who asks may name a larger number

_SAMPLED = "t.trial, t.batch, t.decisions, t.depth, t.architecture, t.digest, t.parameters, t.flops"

# A trial with its result, if it has one. :measurements tells whether to read the series.
_TRIAL = f"""
SELECT {_SAMPLED}, b.version, coalesce(r.state, CASE WHEN l.lease IS NULL THEN 'Pending' ELSE 'Leased' END),
    (SELECT coalesce(max(attempt), 0) FROM leases WHERE trial = t.trial AND training = 0),
    coalesce(r.worker, l.worker, ''), coalesce(r.sequence, 0), r.reward, coalesce(r.reason, ''),
    coalesce(r.message, ''), coalesce(r.train_seconds, 0.0), coalesce(r.at, 0.0), r.replay_of,
    CASE WHEN :measurements THEN r.measurements END
FROM trials t JOIN batches b ON b.batch = t.batch
    LEFT JOIN leases l ON l.trial = t.trial AND l.training = 0 AND l.ended IS NULL
"""  # noqa: S608 - made of constants
_ALL = "LEFT JOIN results r ON r.trial = t.trial WHERE t.trial > :after ORDER BY t.trial LIMIT :limit"
_ONE = "LEFT JOIN results r ON r.trial = t.trial WHERE t.trial = :number"
_FINISHED = "JOIN results r ON r.trial = t.trial WHERE r.sequence > :after ORDER BY r.sequence LIMIT :limit"
_BEST = """JOIN results r ON r.trial = t.trial WHERE r.sequence IN (
    SELECT sequence FROM results WHERE state = 'Succeeded' AND replay_of IS NULL
    ORDER BY reward DESC, sequence LIMIT :limit OFFSET :offset
) ORDER BY r.reward DESC, r.sequence"""

_OPEN_LEASES = """
SELECT lease, trial, worker, request_id, attempt, granted_at, training FROM leases WHERE ended IS NULL
ORDER BY trial, training
"""

_OPEN_TRIALS = f"""
SELECT {_SAMPLED}, b.version, r.reward, coalesce(r.state = 'StoppedEarly', 0), coalesce(r.sequence, 0),
    (SELECT coalesce(sum(lost), 0) FROM leases WHERE trial = t.trial AND training = 0)
FROM batches b INDEXED BY open_batches JOIN trials t ON t.batch = b.batch LEFT JOIN results r ON r.trial = t.trial
WHERE b.consumed_by IS NULL ORDER BY b.batch, t.trial
"""  # noqa: S608 - made of constants
_LEARNT = """
SELECT t.decisions, t.depth, r.reward, r.state <> 'StoppedEarly', b.version, u.version
FROM updates u JOIN batches b ON b.batch = u.batch JOIN trials t ON t.batch = u.batch
JOIN results r ON r.trial = t.trial ORDER BY u.version, t.trial
"""
_NOT_LEARNT = """
SELECT t.decisions, t.depth, b.version FROM batches b INDEXED BY open_batches JOIN trials t ON t.batch = b.batch
WHERE b.consumed_by IS NULL ORDER BY b.batch, t.trial
"""
_LAST = """
SELECT (SELECT coalesce(max(epoch), 0) FROM starts), (SELECT coalesce(max(batch), 0) FROM batches),
    (SELECT coalesce(max(trial), 0) FROM trials), (SELECT coalesce(max(sequence), 0) FROM results),
    (SELECT coalesce(max(sequence), 0) FROM results WHERE replay_of IS NULL),
    (SELECT at FROM starts ORDER BY epoch LIMIT 1)
"""


_TOTALS = """
SELECT succeeded, failed, stopped_early, consecutive_failures, device_seconds, leases_expired, replayed FROM totals
"""
_TRAINED_RESULTS = """
SELECT t.digest, r.trial, r.state, r.reward FROM results r JOIN trials t ON t.trial = r.trial
WHERE r.state <> 'Failed' AND r.replay_of IS NULL ORDER BY r.sequence
"""
_FIRST_TRAININGS = """
SELECT f.trial, f.reward, f.promoted, f.train_seconds, f.device_seconds, r.reward
FROM first_trainings f LEFT JOIN results r ON r.trial = f.trial AND r.state = 'Succeeded' ORDER BY f.number
"""
_LEASE_SPANS = """
SELECT l.lease, l.trial, l.training, l.worker, l.granted_at, l.ended_at, coalesce(l.ended, ''),
    coalesce(r.device_seconds, f.device_seconds, 0.0)
FROM leases l LEFT JOIN results r ON r.trial = l.trial AND r.lease = l.lease
    LEFT JOIN final_trainings f ON f.training = l.training AND f.lease = l.lease
WHERE l.trial IN (SELECT DISTINCT trial FROM leases WHERE trial > :after ORDER BY trial LIMIT :limit)
ORDER BY l.trial, l.granted_at, l.lease
"""
_FINAL_TRAININGS = """
SELECT f.training, f.trial, f.settings, f.repeat, f.wanted,
    coalesce(f.state, CASE WHEN l.lease IS NULL THEN 'Pending' ELSE 'Leased' END),
    (SELECT coalesce(sum(lost), 0) FROM leases WHERE trial = f.trial AND training = f.training),
    coalesce(f.worker, l.worker, ''), f.reward, coalesce(f.reason, ''), coalesce(f.message, ''),
    coalesce(f.train_seconds, 0.0), coalesce(f.weights_bytes, 0), coalesce(f.at, 0.0), f.measurements
FROM final_trainings f LEFT JOIN leases l ON l.trial = f.trial AND l.training = f.training AND l.ended IS NULL
ORDER BY f.training
"""


class SqliteReader(JournalReader):
    """The reading half of a SQLite journal. Thread-safe; sees what is durable, and nothing else.

    Args:
        path: the journal of a search, which may be running.

    Raises:
        JournalError: there is no readable journal at `path`.
    """

    def __init__(self, path: Path | str) -> None:
        self._attach(str(path), open_for_reading(Path(path)))

    def _attach(self, name: str, db: sqlite3.Connection) -> None:
        self._name = f"the journal {name}"
        self._db = db
        self._reading = threading.Lock()

    def recover(self) -> Recovered:
        """Where the search stands. Reads open batches and counters, never the finished trials."""
        with self._reading:
            # one transaction: all of it at the same instant
            self._query("BEGIN")
            try:
                return self._recover()
            finally:
                self._query("COMMIT")

    def _recover(self) -> Recovered:
        (state, reason, message), *_ = self._query("SELECT state, reason, message FROM search")
        (epoch, last_batch, last_trial, last_sequence, last_trained, started_at), *_ = self._query(_LAST)
        (version, policy), *_ = self._query("SELECT version, state FROM policy")
        (succeeded, failed, stopped_early, failures, device_seconds, expired, replayed), *_ = self._query(_TOTALS)
        return Recovered(
            epoch=epoch,
            version=version,
            state=policy,
            snapshots=dict(self._query("SELECT version, snapshot FROM snapshots ORDER BY version")),
            batches=self._open_batches(),
            leases=tuple(OpenLease(*row) for row in self._query(_OPEN_LEASES)),
            last_batch=last_batch,
            last_trial=last_trial,
            last_sequence=last_sequence,
            search_state=state,
            search_reason=reason,
            search_message=message,
            started_at=started_at,
            counts={
                TrialState.SUCCEEDED: succeeded,
                TrialState.FAILED: failed,
                TrialState.STOPPED_EARLY: stopped_early,
            },
            consecutive_failures=failures,
            device_seconds=device_seconds,
            leases_expired=expired,
            replayed=replayed,
            replayed_in_a_row=last_sequence - last_trained,
            reports=self._reports(),
            facts=dict(self._query("SELECT key, value FROM facts")),
        )

    def _open_batches(self) -> tuple[OpenBatch, ...]:
        batches: dict[int, list[tuple[SampledTrial, int, float | None, bool, int, int]]] = {}
        for *sampled, version, reward, stopped, sequence, attempts in self._query(_OPEN_TRIALS):
            trial = _sampled(*sampled)
            batches.setdefault(trial.batch, []).append((trial, version, reward, stopped, sequence, attempts))
        return tuple(
            OpenBatch(
                batch=batch,
                version=rows[0][1],
                trials=tuple(trial for trial, *_ in rows),
                rewards={trial.trial: reward for trial, _, reward, *_ in rows if reward is not None},
                attempts={trial.trial: attempts for trial, *_, attempts in rows},
                last_sequence=max(sequence for *_, sequence, _ in rows),
                incomplete=frozenset(trial.trial for trial, _, _, stopped, *_ in rows if stopped),
            )
            for batch, rows in batches.items()
        )

    def _reports(self) -> dict[int, tuple[ReportedPoint, ...]]:
        points: dict[int, list[ReportedPoint]] = {}
        query = "SELECT trial, step, reward, stops FROM reports ORDER BY trial, step"
        for trial, step, reward, stops in self._query(query):
            points.setdefault(trial, []).append(ReportedPoint(step, reward, bool(stops)))
        return {trial: tuple(found) for trial, found in points.items()}

    def trials(self, *, after: int = 0, limit: int = 1000, measurements: bool = False) -> list[TrialRecord]:
        """See `JournalReader`."""
        return self._trials(_ALL, after=after, limit=limit, measurements=measurements)

    def finished(self, *, after: int = 0, limit: int = 1000, measurements: bool = False) -> list[TrialRecord]:
        """See `JournalReader`."""
        return self._trials(_FINISHED, after=after, limit=limit, measurements=measurements)

    def best(self, *, offset: int = 0, limit: int = 10, measurements: bool = False) -> list[TrialRecord]:
        """See `JournalReader`."""
        return self._trials(_BEST, offset=offset, limit=limit, measurements=measurements)

    def trial(self, number: int) -> TrialRecord | None:
        """See `JournalReader`."""
        found = self._trials(_ONE, number=number, measurements=True)
        return found[0] if found else None

    def _trials(self, which: str, **parameters: int) -> list[TrialRecord]:
        within = {name: min(value, _LARGEST_INTEGER) for name, value in parameters.items()}
        with self._reading:
            rows = self._query(_TRIAL + which, within)
        return [_trial_record(*row) for row in rows]

    def trained_results(self) -> list[TrainedResult]:
        """See `JournalReader`."""
        with self._reading:
            rows = self._query(_TRAINED_RESULTS)
        return [TrainedResult(digest, trial, TrialState(state), reward) for digest, trial, state, reward in rows]

    def first_trainings(self) -> list[FirstTraining]:
        """See `JournalReader`."""
        with self._reading:
            rows = self._query(_FIRST_TRAININGS)
        return [FirstTraining(trial, reward, bool(promoted), *rest) for trial, reward, promoted, *rest in rows]

    def final_trainings(self) -> list[FinalTrainingRecord]:
        """See `JournalReader`."""
        with self._reading:
            rows = self._query(_FINAL_TRAININGS)
        return [_final_training(*row) for row in rows]

    def ended_lease(self, lease: str) -> EndedLease | None:
        """See `JournalReader`."""
        query = "SELECT trial, worker, ended, training FROM leases WHERE lease = ? AND ended IS NOT NULL"
        with self._reading:
            rows = self._query(query, (lease,))
        return EndedLease(*rows[0]) if rows else None

    def lease_spans(self, *, after: int = 0, limit: int | None = None) -> list[LeaseSpan]:
        """See `JournalReader`."""
        most = _LARGEST_INTEGER if limit is None else limit
        with self._reading:
            rows = self._query(_LEASE_SPANS, {"after": min(after, _LARGEST_INTEGER), "limit": most})
        return [
            LeaseSpan(trial, training, worker, pool_of(token), granted_at, ended_at, ended, device_seconds)
            for token, trial, training, worker, granted_at, ended_at, ended, device_seconds in rows
        ]

    def fact(self, key: str) -> str:
        """See `JournalReader`."""
        with self._reading:
            rows = self._query("SELECT value FROM facts WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def history(self) -> History:
        """See `JournalReader`."""
        with self._reading:
            self._query("BEGIN")
            try:
                learnt, not_learnt = self._query(_LEARNT), self._query(_NOT_LEARNT)
            finally:
                self._query("COMMIT")
        versions = [version for *_, version in learnt]
        return History(
            finished=[Rewarded(_proposal(*made), reward, bool(complete)) for *made, reward, complete, _, _ in learnt],
            open=[_proposal(*made) for *made, _ in not_learnt],
            finished_known=[bisect_right(versions, sampled_at) for *_, sampled_at, _ in learnt],
            open_known=[bisect_right(versions, sampled_at) for *_, sampled_at in not_learnt],
        )

    def updates(self, *, after: int = 0, limit: int = 100_000) -> Sequence[UpdateRecord]:
        """See `JournalReader`."""
        with self._reading:
            rows = self._query(
                "SELECT version, batch, lag, baseline, entropy, gradient_norm, mean_reward, trials_finished, at"
                " FROM updates WHERE version > ? ORDER BY version LIMIT ?",
                (after, limit),
            )
        return [UpdateRecord(*row) for row in rows]

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def _query(self, query: str, parameters: Any = ()) -> list[Any]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"cannot read {self._name}: {error}") from error


def _sampled(
    trial: int, batch: int, decisions: str, depth: int, architecture: str, digest: str, parameters: int, flops: int
) -> SampledTrial:
    return SampledTrial(trial, batch, _proposal(decisions, depth), architecture, digest, parameters, flops)


def _proposal(decisions: str, depth: int) -> Proposal:
    return Proposal(tuple(json.loads(decisions)), depth)


def _final_training(*row: Any) -> FinalTrainingRecord:
    *planned, wanted, state, lost, worker, reward, reason, message, train_seconds, weights, at, series = row
    return FinalTrainingRecord(
        planned=PlannedTraining(*planned),
        wanted=bool(wanted),
        state=TrialState(state),
        lost=lost,
        worker=worker,
        reward=reward,
        reason=reason,
        message=message,
        measurements=() if series is None else decode_measurements(series),
        train_seconds=train_seconds,
        weights_bytes=weights,
        finished_at=at,
    )


def _trial_record(*row: Any) -> TrialRecord:
    (
        *sampled,
        version,
        state,
        attempts,
        worker,
        sequence,
        reward,
        reason,
        message,
        train_seconds,
        at,
        replay_of,
        series,
    ) = row
    return TrialRecord(
        sampled=_sampled(*sampled),
        policy_version=version,
        state=TrialState(state),
        attempts=attempts,
        worker=worker,
        sequence=sequence,
        reward=reward,
        reason=reason,
        message=message,
        measurements=() if series is None else decode_measurements(series),
        train_seconds=train_seconds,
        finished_at=at,
        replay_of=replay_of,
    )
