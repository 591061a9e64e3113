"""The controller's log: a line for each result and update, with what tells the lease, once they are durable."""

import logging
from typing import Any

import pytest
from nas_controller.journal.journal import (
    FinalTrainingFinished,
    LeaseGranted,
    PolicyUpdated,
    Record,
    TrialFinished,
    TrialState,
)
from nas_controller.metrics.labels import OUTCOMES
from nas_controller.record_log import log_records

NOW = 1_700_000_000.0


def finished(state: TrialState = TrialState.SUCCEEDED, reason: str = "", message: str = "", **more: Any) -> Record:
    values: dict[str, Any] = {"trial": 7, "sequence": 3, "lease": "1.7.gpu.secret", "worker": "gpu-0", "reward": 0.5}
    values |= {"measurements": (), "train_seconds": 2.0, "device_seconds": 2.0, "at": NOW}
    return TrialFinished(**(values | {"state": state, "reason": reason, "message": message} | more))


def logged(caplog: pytest.LogCaptureFixture, *records: Record) -> list[logging.LogRecord]:
    with caplog.at_level(logging.INFO, logger="nas_controller"):
        log_records(records, 0.01)
    return caplog.records


def test_a_result_has_its_trial_its_lease_and_what_came_of_it(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = logged(caplog, finished())
    assert line.getMessage() == "trial 7 succeeded on worker gpu-0 after 2.0 s: reward 0.5000"
    fields = {name: vars(line)[name] for name in ("trial", "lease", "worker", "outcome", "reward", "seconds")}
    assert fields == {
        "trial": 7, "lease": "1.7.gpu", "worker": "gpu-0", "outcome": "succeeded", "reward": 0.5, "seconds": 2.0
    }  # fmt: skip


def test_a_failure_has_its_reason_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = logged(caplog, finished(TrialState.FAILED, "Exception", "ValueError: no\nTraceback ..."))
    assert line.getMessage() == "trial 7 failed on worker gpu-0 after 2.0 s: Exception: ValueError: no"


def test_an_outcome_has_the_name_that_it_has_in_metrics_and_traces(caplog: pytest.LogCaptureFixture) -> None:
    states = (TrialState.SUCCEEDED, TrialState.FAILED, TrialState.STOPPED_EARLY)
    lines = logged(caplog, *(finished(state) for state in states))
    assert [vars(line)["outcome"] for line in lines] == list(OUTCOMES[:3])


def test_final_trainings_and_updates_are_told(caplog: pytest.LogCaptureFixture) -> None:
    training = FinalTrainingFinished(
        2, "1.9.gpu.secret", "gpu-0", TrialState.SUCCEEDED, 0.9, "", "", (), 5.0, 5.0, 0, NOW
    )
    update = PolicyUpdated(4, 9, 1, 0.4, 1.2, 0.1, 0.55, b"", b"", frozenset({4}), NOW)
    first, second = logged(caplog, training, update)
    assert first.getMessage() == "final training 2 succeeded on worker gpu-0 after 5.0 s: reward 0.9000"
    assert vars(first)["final_training"] == 2
    assert second.getMessage() == "update 4: mean reward 0.5500"
    assert (vars(second)["version"], vars(second)["lag"], vars(second)["entropy"]) == (4, 1, 1.2)


def test_what_happens_all_the_time_is_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    grant = LeaseGranted("1.7.gpu.secret", 7, "gpu-0", "request", 1, NOW)
    replay = finished(lease=None, worker="", replay_of=5)
    assert logged(caplog, grant, replay) == []
    with caplog.at_level(logging.DEBUG, logger="nas_controller"):
        log_records([grant, replay], 0.01)
    assert [line.getMessage() for line in caplog.records] == [
        "trial 7 goes to worker gpu-0", "trial 7 is a replay of trial 5"
    ]  # fmt: skip
    assert vars(caplog.records[0])["lease"] == "1.7.gpu"
