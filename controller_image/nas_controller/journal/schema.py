"""The tables of a SQLite journal, and what must always hold between them.

What may never happen is refused here, where it is stored: a trial that finishes twice, a batch that is learned from
twice, a trial that two leases hold. Columns that a query rarely wants (`measurements`, `architecture`) come last in
their row, where SQLite does not read them unless asked.
"""

APPLICATION_ID = 0x4E415331
"""Marks a file as a journal of KubeNAS ("NAS1"), where `file` and SQLite look for such a mark."""

_FIRST = """
CREATE TABLE search (
    name TEXT NOT NULL,                          -- namespace/name
    state TEXT NOT NULL DEFAULT 'RUNNING',
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    changed_at REAL
);

CREATE TABLE starts (epoch INTEGER PRIMARY KEY, at REAL NOT NULL);

CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE batches (
    batch INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,                    -- of the policy that sampled it
    sampled_at REAL NOT NULL,
    consumed_by INTEGER REFERENCES updates       -- NULL: open
);
CREATE INDEX open_batches ON batches (version) WHERE consumed_by IS NULL;

CREATE TABLE trials (
    trial INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL REFERENCES batches,
    depth INTEGER NOT NULL,
    decisions TEXT NOT NULL,                     -- JSON: [decision, ...]
    digest TEXT NOT NULL,
    parameters INTEGER NOT NULL,
    flops INTEGER NOT NULL,
    architecture TEXT NOT NULL
);
CREATE INDEX trials_of_batch ON trials (batch);

CREATE TABLE leases (
    lease TEXT PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trials,
    worker TEXT NOT NULL,
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0,             -- times that it was lost or expired: it can be taken up again
    granted_at REAL NOT NULL,
    ended TEXT CHECK (ended IN ('Finished', 'Released', 'Lost', 'Expired')),    -- NULL: held
    ended_at REAL
) WITHOUT ROWID;
CREATE INDEX leases_of_trial ON leases (trial, attempt, lost);
CREATE UNIQUE INDEX open_leases ON leases (trial) WHERE ended IS NULL;

CREATE TABLE results (
    sequence INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL UNIQUE REFERENCES trials,
    lease TEXT,
    worker TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('Succeeded', 'Failed', 'StoppedEarly')),
    reward REAL NOT NULL,
    reason TEXT NOT NULL,
    train_seconds REAL NOT NULL,
    device_seconds REAL NOT NULL,
    at REAL NOT NULL,
    message TEXT NOT NULL,
    measurements TEXT NOT NULL                   -- JSON: [[step, seconds, {metric: value}], ...], also NaN and Infinity
);
CREATE INDEX best_results ON results (reward DESC, sequence) WHERE state = 'Succeeded';

CREATE TABLE totals (                            -- of the finished trials, so that nobody has to count them
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    stopped_early INTEGER NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    device_seconds REAL NOT NULL,
    leases_expired INTEGER NOT NULL
);
INSERT INTO totals VALUES (0, 0, 0, 0, 0.0, 0);

CREATE TABLE updates (
    version INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL UNIQUE REFERENCES batches,
    lag INTEGER NOT NULL,
    baseline REAL,
    entropy REAL,
    gradient_norm REAL,
    mean_reward REAL NOT NULL,
    trials_finished INTEGER NOT NULL,
    at REAL NOT NULL
);

CREATE TABLE snapshots (version INTEGER PRIMARY KEY REFERENCES updates, snapshot BLOB NOT NULL);

CREATE TABLE policy (version INTEGER NOT NULL, state BLOB NOT NULL);
INSERT INTO policy VALUES (0, x'');

CREATE TRIGGER epoch_rises BEFORE INSERT ON starts
WHEN new.epoch <= (SELECT coalesce(max(epoch), 0) FROM starts)
BEGIN SELECT RAISE(ABORT, 'its epoch is not greater than the last one'); END;

CREATE TRIGGER batch_has_snapshot BEFORE INSERT ON batches
WHEN new.version <> 0 AND NOT EXISTS (SELECT 1 FROM snapshots WHERE version = new.version)
BEGIN SELECT RAISE(ABORT, 'the version of the policy that sampled it was not kept'); END;

CREATE TRIGGER lease_of_unfinished_trial BEFORE INSERT ON leases
WHEN EXISTS (SELECT 1 FROM results WHERE trial = new.trial)
BEGIN SELECT RAISE(ABORT, 'the trial has finished'); END;

CREATE TRIGGER result_in_order BEFORE INSERT ON results
WHEN new.sequence <> 1 + (SELECT coalesce(max(sequence), 0) FROM results)
BEGIN SELECT RAISE(ABORT, 'its sequence is not the next one'); END;

CREATE TRIGGER result_of_holder BEFORE INSERT ON results
WHEN EXISTS (SELECT 1 FROM leases WHERE trial = new.trial AND ended IS NULL AND lease IS NOT new.lease)
BEGIN SELECT RAISE(ABORT, 'another lease holds the trial'); END;

CREATE TRIGGER update_in_order BEFORE INSERT ON updates
WHEN new.version <> 1 + (SELECT coalesce(max(version), 0) FROM updates)
BEGIN SELECT RAISE(ABORT, 'its version is not the next one'); END;

CREATE TRIGGER update_of_finished_batch BEFORE INSERT ON updates
WHEN EXISTS (
    SELECT 1 FROM trials WHERE batch = new.batch AND NOT EXISTS (SELECT 1 FROM results WHERE trial = trials.trial)
)
BEGIN SELECT RAISE(ABORT, 'a trial of its batch has not finished'); END;

CREATE TRIGGER snapshot_referenced BEFORE DELETE ON snapshots
WHEN EXISTS (SELECT 1 FROM batches WHERE version = old.version AND consumed_by IS NULL)
BEGIN SELECT RAISE(ABORT, 'an open batch needs a version of the policy that is not in kept_versions'); END;
"""

# Duplicates are replayed: see `controller.duplicates`.
_REPLAYS = """
ALTER TABLE results ADD COLUMN replay_of INTEGER REFERENCES trials;    -- NULL: it was trained
ALTER TABLE totals ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0;
DROP INDEX best_results;
CREATE INDEX best_results ON results (reward DESC, sequence) WHERE state = 'Succeeded' AND replay_of IS NULL;

CREATE TRIGGER replay_of_full_result BEFORE INSERT ON results
WHEN new.replay_of IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM results r JOIN trials t ON t.trial = r.trial
    WHERE r.trial = new.replay_of AND r.state = 'Succeeded' AND r.replay_of IS NULL AND r.reward = new.reward
        AND t.digest = (SELECT digest FROM trials WHERE trial = new.trial)
) OR new.replay_of IS NOT NULL AND (new.state <> 'Succeeded' OR new.lease IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'it is not a replay of a full result of the same architecture'); END;
"""

# Learning curves of trials in training: see `controller.earlyStopping`.
_REPORTS = """
CREATE TABLE reports (
    trial INTEGER NOT NULL REFERENCES trials,
    step INTEGER NOT NULL,
    lease TEXT NOT NULL,
    reward REAL NOT NULL,
    stops INTEGER NOT NULL,
    PRIMARY KEY (trial, step)
) WITHOUT ROWID;

CREATE TRIGGER report_of_holder BEFORE INSERT ON reports
WHEN NOT EXISTS (SELECT 1 FROM leases WHERE lease = new.lease AND trial = new.trial AND ended IS NULL)
BEGIN SELECT RAISE(ABORT, 'the lease does not hold the trial'); END;
"""

# Cheap first trainings: see `controller.lowFidelity`.
_FIRST_TRAININGS = """
CREATE TABLE first_trainings (
    number INTEGER PRIMARY KEY,                  -- in the order in which they ended
    trial INTEGER NOT NULL UNIQUE REFERENCES trials,
    reward REAL NOT NULL,
    promoted INTEGER NOT NULL,
    train_seconds REAL NOT NULL,
    device_seconds REAL NOT NULL,
    at REAL NOT NULL
);

CREATE TRIGGER first_training_of_unfinished_trial BEFORE INSERT ON first_trainings
WHEN EXISTS (SELECT 1 FROM results WHERE trial = new.trial)
BEGIN SELECT RAISE(ABORT, 'the trial has finished'); END;
"""

# The second stage: see `finalTraining`. Its leases are beside those of trials.
_FINAL_TRAININGS = """
CREATE TABLE final_trainings (
    training INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trials,
    settings TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    wanted INTEGER NOT NULL DEFAULT 1,
    lease TEXT,
    worker TEXT,
    state TEXT CHECK (state IN ('Succeeded', 'Failed')),                       -- NULL: no result
    reward REAL,
    reason TEXT,
    train_seconds REAL,
    device_seconds REAL,
    weights_bytes INTEGER,
    at REAL,
    message TEXT,
    measurements TEXT,
    UNIQUE (trial, settings, repeat)
);

ALTER TABLE leases ADD COLUMN training INTEGER NOT NULL DEFAULT 0;               -- 0: of the trial itself
DROP INDEX leases_of_trial;
CREATE INDEX leases_of_trial ON leases (trial, training, attempt, lost);
DROP INDEX open_leases;
CREATE UNIQUE INDEX open_leases ON leases (trial, training) WHERE ended IS NULL;

DROP TRIGGER lease_of_unfinished_trial;
CREATE TRIGGER lease_of_unfinished_trial BEFORE INSERT ON leases
WHEN new.training = 0 AND EXISTS (SELECT 1 FROM results WHERE trial = new.trial)
BEGIN SELECT RAISE(ABORT, 'the trial has finished'); END;

DROP TRIGGER result_of_holder;
CREATE TRIGGER result_of_holder BEFORE INSERT ON results
WHEN EXISTS (
    SELECT 1 FROM leases WHERE trial = new.trial AND training = 0 AND ended IS NULL AND lease IS NOT new.lease
)
BEGIN SELECT RAISE(ABORT, 'another lease holds the trial'); END;

CREATE TRIGGER lease_of_final_training BEFORE INSERT ON leases
WHEN new.training <> 0 AND NOT EXISTS (
    SELECT 1 FROM final_trainings WHERE training = new.training AND trial = new.trial AND state IS NULL
)
BEGIN SELECT RAISE(ABORT, 'the trial has no such final training that waits for a result'); END;

CREATE TRIGGER one_result_of_final_training BEFORE UPDATE OF state ON final_trainings
WHEN old.state IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'it has finished'); END;

CREATE TRIGGER final_result_of_holder BEFORE UPDATE OF state ON final_trainings
WHEN EXISTS (SELECT 1 FROM leases WHERE training = new.training AND ended IS NULL AND lease IS NOT new.lease)
BEGIN SELECT RAISE(ABORT, 'another lease holds it'); END;
"""

# Stopped trials are replayed, too.
_STOPPED_REPLAYS = """
DROP TRIGGER replay_of_full_result;
CREATE TRIGGER replay_of_trained_result BEFORE INSERT ON results
WHEN new.replay_of IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM results r JOIN trials t ON t.trial = r.trial
    WHERE r.trial = new.replay_of AND r.state = new.state AND r.replay_of IS NULL AND r.reward = new.reward
        AND t.digest = (SELECT digest FROM trials WHERE trial = new.trial)
) OR new.replay_of IS NOT NULL AND (new.state = 'Failed' OR new.lease IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'it is not a replay of a result of the same architecture'); END;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _REPLAYS, _REPORTS, _FIRST_TRAININGS, _FINAL_TRAININGS, _STOPPED_REPLAYS)
"""Script number i takes a journal of schema version i to version i + 1; an empty file is version 0."""

SCHEMA_VERSION = len(MIGRATIONS)
