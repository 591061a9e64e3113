"""What each record does to the tables of a SQLite journal."""

import json
import math
import sqlite3

from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    FactLearned,
    FinalTrainingFinished,
    FinalTrainingsPlanned,
    FirstTrained,
    JournalError,
    LeaseEnded,
    LeaseGranted,
    Measurement,
    PolicyUpdated,
    Record,
    SearchStateChanged,
    TrialFinished,
    TrialReported,
)


def apply(db: sqlite3.Connection, record: Record) -> None:
    """Applies one record inside the transaction that is open on `db`.

    Raises:
        JournalError: the record contradicts what is stored; the transaction must be rolled back.
        sqlite3.DatabaseError: the storage cannot take it.
    """
    try:
        _apply(db, record)
    except Exception as error:
        if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
            raise  # the storage's fault, not the record's
        raise JournalError(f"{_title(record)} cannot be written: {error}") from error


def _apply(db: sqlite3.Connection, record: Record) -> None:
    match record:
        case LeaseGranted():
            _grant_lease(db, record)
        case TrialFinished():
            _finish_trial(db, record)
        case FinalTrainingsPlanned():
            db.execute("UPDATE final_trainings SET wanted = 0")
            db.executemany(
                "INSERT INTO final_trainings (training, trial, settings, repeat) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (training) DO UPDATE SET wanted = 1",
                [(p.training, p.trial, p.settings, p.repeat) for p in record.trainings],
            )
        case FinalTrainingFinished():
            _finish_final_training(db, record)
        case FirstTrained():
            _first_trained(db, record)
        case TrialReported():
            db.executemany(
                "INSERT OR IGNORE INTO reports (trial, step, lease, reward, stops) VALUES (?, ?, ?, ?, ?)",
                [(record.trial, point.step, record.lease, point.reward, point.stops) for point in record.points],
            )
        case LeaseEnded():
            _end_lease(db, record)
        case BatchSampled():
            _add_batch(db, record)
        case PolicyUpdated():
            _update_policy(db, record)
        case ControllerStarted():
            db.execute("INSERT INTO starts (epoch, at) VALUES (?, ?)", (record.epoch, record.at))
        case SearchStateChanged():
            if record.state == "RUNNING":
                forgive = "UPDATE totals SET consecutive_failures = 0 WHERE (SELECT state FROM search) = 'FAILED'"
                db.execute(forgive)
            db.execute(
                "UPDATE search SET state = ?, reason = ?, message = ?, changed_at = ?",
                (record.state, record.reason, record.message, record.at),
            )
        case FactLearned():
            db.execute("INSERT OR REPLACE INTO facts (key, value) VALUES (?, ?)", (record.key, record.value))


def _add_batch(db: sqlite3.Connection, record: BatchSampled) -> None:
    db.execute(
        "INSERT INTO batches (batch, version, sampled_at) VALUES (?, ?, ?)", (record.batch, record.version, record.at)
    )
    if not record.trials:
        raise ValueError("it has no trials")
    for sampled in record.trials:
        if sampled.batch != record.batch:
            raise ValueError(f"trial {sampled.trial} is of batch {sampled.batch}")
        db.execute(
            "INSERT INTO trials (trial, batch, depth, decisions, digest, parameters, flops, architecture)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sampled.trial,
                sampled.batch,
                sampled.proposal.depth,
                json.dumps(sampled.proposal.decisions, separators=(",", ":")),
                sampled.digest,
                sampled.parameters,
                sampled.flops,
                sampled.architecture,
            ),
        )


def _grant_lease(db: sqlite3.Connection, record: LeaseGranted) -> None:
    granted = db.execute(
        "INSERT INTO leases (lease, trial, worker, request_id, attempt, granted_at, training)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (lease) DO UPDATE SET ended = NULL, ended_at = NULL"
        " WHERE ended IS NOT NULL AND trial = excluded.trial AND training = excluded.training"
        " AND worker = excluded.worker",
        (record.lease, record.trial, record.worker, record.request_id, record.attempt, record.at, record.training),
    )
    if granted.rowcount != 1:
        raise ValueError(f"lease {record.lease!r} is held, or was one of another trial or worker")
    if not record.training:
        db.execute("DELETE FROM reports WHERE trial = ? AND lease <> ?", (record.trial, record.lease))


def _first_trained(db: sqlite3.Connection, record: FirstTrained) -> None:
    db.execute(
        "INSERT INTO first_trainings (trial, reward, promoted, train_seconds, device_seconds, at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (record.trial, record.reward, record.promoted, record.train_seconds, record.device_seconds, record.at),
    )
    if record.promoted:
        _finish_lease(db, record.lease, record.at, trial=record.trial)


def _finish_final_training(db: sqlite3.Connection, record: FinalTrainingFinished) -> None:
    if (record.state == "Succeeded") != (record.reward is not None and math.isfinite(record.reward)):
        raise ValueError(f"it is {record.state}, and its reward is {record.reward}")
    finished = db.execute(
        "UPDATE final_trainings SET lease = ?, worker = ?, state = ?, reward = ?, reason = ?, train_seconds = ?,"
        " device_seconds = ?, weights_bytes = ?, at = ?, message = ?, measurements = ? WHERE training = ?",
        (
            record.lease,
            record.worker,
            record.state,
            record.reward,
            record.reason,
            record.train_seconds,
            record.device_seconds,
            record.weights_bytes,
            record.at,
            record.message,
            encode_measurements(record.measurements),
            record.training,
        ),
    )
    if finished.rowcount != 1:
        raise ValueError("it was never planned")
    if record.lease is not None:
        _finish_lease(db, record.lease, record.at, training=record.training)


def _end_lease(db: sqlite3.Connection, record: LeaseEnded) -> None:
    ended = db.execute(
        "UPDATE leases SET ended = ?1, ended_at = ?2, lost = lost + (?1 IN ('Lost', 'Expired'))"
        " WHERE lease = ?3 AND trial = ?4 AND training = ?5 AND ended IS NULL AND ?1 <> 'Finished'",
        (record.reason, record.at, record.lease, record.trial, record.training),
    )
    if ended.rowcount != 1:
        raise ValueError(f"no such lease is held on trial {record.trial}")
    if record.reason == "Expired":
        db.execute("UPDATE totals SET leases_expired = leases_expired + 1")


def _finish_lease(
    db: sqlite3.Connection, lease: str, at: float, *, trial: int | None = None, training: int = 0
) -> None:
    """Ends a lease with its result; one that has expired too, since a late result that is accepted is its end."""
    ended = db.execute(
        "UPDATE leases SET ended = 'Finished', ended_at = ?"
        " WHERE lease = ? AND training = ? AND trial = coalesce(?, trial)",
        (at, lease, training, trial),
    )
    if ended.rowcount != 1:
        raise ValueError(f"it was never given out as lease {lease!r}")


def _finish_trial(db: sqlite3.Connection, record: TrialFinished) -> None:
    if not math.isfinite(record.reward):
        raise ValueError(f"its reward is {record.reward}")
    db.execute(
        "INSERT INTO results (sequence, trial, lease, worker, state, reward, reason, train_seconds, device_seconds, at,"
        " message, measurements, replay_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.sequence,
            record.trial,
            record.lease,
            record.worker,
            record.state,
            record.reward,
            record.reason,
            record.train_seconds,
            record.device_seconds,
            record.at,
            record.message,
            encode_measurements(record.measurements),
            record.replay_of,
        ),
    )
    db.execute("DELETE FROM reports WHERE trial = ?", (record.trial,))
    if record.lease is not None:
        _finish_lease(db, record.lease, record.at, trial=record.trial)
    db.execute(
        "UPDATE totals SET succeeded = succeeded + (?1 = 'Succeeded'), failed = failed + (?1 = 'Failed'),"
        " stopped_early = stopped_early + (?1 = 'StoppedEarly'), device_seconds = device_seconds + ?2,"
        " replayed = replayed + (?3 IS NOT NULL),"
        " consecutive_failures = CASE WHEN ?3 IS NOT NULL THEN consecutive_failures"
        " WHEN ?1 = 'Failed' THEN consecutive_failures + 1 ELSE 0 END",
        (record.state, record.device_seconds, record.replay_of),
    )


def _update_policy(db: sqlite3.Connection, record: PolicyUpdated) -> None:
    db.execute(
        "INSERT INTO updates (version, batch, lag, baseline, entropy, gradient_norm, mean_reward, trials_finished, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(sequence), 0) FROM results), ?)",
        (
            record.version,
            record.batch,
            record.lag,
            record.baseline,
            record.entropy,
            record.gradient_norm,
            record.mean_reward,
            record.at,
        ),
    )
    db.execute("UPDATE batches SET consumed_by = ? WHERE batch = ?", (record.version, record.batch))
    db.execute("INSERT INTO snapshots (version, snapshot) VALUES (?, ?)", (record.version, record.snapshot))
    stored = {version for (version,) in db.execute("SELECT version FROM snapshots")}
    for version in stored - record.kept_versions - {record.version}:
        db.execute("DELETE FROM snapshots WHERE version = ?", (version,))
    db.execute("UPDATE policy SET version = ?, state = ?", (record.version, record.state))


def encode_measurements(measurements: tuple[Measurement, ...]) -> str:
    """JSON, with `NaN` and `Infinity` as Python writes them."""
    return json.dumps([(m.step, m.seconds, m.metrics) for m in measurements], separators=(",", ":"))


def decode_measurements(text: str) -> tuple[Measurement, ...]:
    """What `encode_measurements` was given."""
    return tuple(Measurement(step, metrics, seconds) for step, seconds, metrics in json.loads(text))


def _title(record: Record) -> str:
    """The record's name and number: `TrialFinished(trial=12)`."""
    for key in ("trial", "training", "version", "batch", "epoch", "key"):
        if hasattr(record, key):
            return f"{type(record).__name__}({key}={getattr(record, key)!r})"
    return type(record).__name__
