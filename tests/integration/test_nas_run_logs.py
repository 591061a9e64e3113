"""The logs of controller and workers, as pods write them: JSON, a line an event, with the trial and its lease."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nas_api.leases import lease_id

from tests.integration.nas_program import Workplace

SECRET = "a-token-for-an-object-store"


def events(log: Path) -> list[dict[str, Any]]:
    """The lines that are JSON: a worker's log has what trials print, too."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_a_trial_can_be_followed_by_its_lease_and_no_secret_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBENAS_LOG_FORMAT", "json")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    workplace = Workplace(tmp_path)
    workplace.write_task(trials=4)
    done = workplace.run()
    assert done.returncode == 0, done.stderr
    controller_log, *worker_logs = sorted((workplace.state / "logs").glob("*.log"))
    assert controller_log.name.startswith("controller")
    by_controller, by_worker = events(controller_log), [event for log in worker_logs for event in events(log)]

    results = {event["lease"]: event for event in by_controller if "outcome" in event}
    assert sorted(event["trial"] for event in results.values()) == [1, 2, 3, 4]
    told = {event["lease"]: event for event in by_worker if "outcome" in event}
    same = ("trial", "worker", "outcome")
    assert {lease: [event[name] for name in same] for lease, event in told.items()} == {
        lease: [event[name] for name in same] for lease, event in results.items()
    }
    assert all(event["outcome"] == "succeeded" and event["worker"] == "default-0" for event in results.values())
    assert [event["version"] for event in by_controller if "version" in event] == [1, 2]
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(event) for event in by_controller))

    with closing(sqlite3.connect(workplace.state / "journal.sqlite")) as db:
        tokens = {token for (token,) in db.execute("SELECT lease FROM results")}
    everything = "".join(log.read_text() for log in (controller_log, *worker_logs))
    assert SECRET not in everything
    assert "PRIVATE KEY" not in everything
    # Who knows the whole token of a lease holds the lease.
    assert set(results) == {lease_id(token) for token in tokens}
    assert not [token for token in tokens if token in everything]
