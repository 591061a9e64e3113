"""`kubectl nas get`: searches of a cluster in rows."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from nas_cli.cluster.table import age, summarize, write_searches

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
RUNNING: dict[str, Any] = {
    "apiVersion": "kubenas.dev/v1alpha1",
    "kind": "NASSearch",
    "metadata": {
        "name": "digits",
        "namespace": "team",
        "creationTimestamp": "2026-01-02T11:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {
        "budget": {"maxTrials": 120},
        "searchSpace": {"type": "ConvNet"},
        "controller": {"algorithm": {"type": "PPO"}},
    },
    "status": {
        "conditions": [{"type": "Ready", "status": "False", "reason": "PodsPending", "message": "2 pods fit no node"}],
        "trials": {"finished": 31, "failed": 2},
        "workers": {"wanted": 4, "alive": 2},
        "updates": 7,
        "bestTrial": {"id": 3, "reward": 0.91234},
    },
}
NEW: dict[str, Any] = {"metadata": {"name": "new", "namespace": "team"}, "spec": {"budget": {"maxDuration": "1h"}}}


def lines(capsys: pytest.CaptureFixture[str], output: str, *searches: dict[str, Any], namespaces: bool) -> list[str]:
    write_searches(searches, output, namespaces=namespaces, where="namespace team")
    return capsys.readouterr().out.splitlines()


def test_a_row_says_how_a_search_stands(capsys: pytest.CaptureFixture[str]) -> None:
    header, digits, new = lines(capsys, "table", RUNNING, NEW, namespaces=False)
    assert header.split() == ["name", "state", "trials", "best", "workers", "age"]
    assert digits.split()[:5] == ["digits", "PodsPending", "31/120", "0.9123", "2/4"]
    assert new.split() == ["new", "0", "0/0"]


def test_a_wide_row_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    header, digits, _ = lines(capsys, "wide", RUNNING, NEW, namespaces=True)
    assert header.split()[:2] == ["namespace", "name"]
    assert digits.split()[0] == "team"
    assert digits.split()[-9:] == ["2", "7", "PPO", "ConvNet", "2", "pods", "fit", "no", "node"]


def test_programs_get_the_objects_or_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    as_json = json.loads("\n".join(lines(capsys, "json", RUNNING, namespaces=False)))
    assert as_json == yaml.safe_load("\n".join(lines(capsys, "yaml", RUNNING, namespaces=False)))
    assert as_json["items"][0]["status"] == RUNNING["status"]
    assert "managedFields" not in as_json["items"][0]["metadata"]
    (row,) = csv.DictReader(io.StringIO("\n".join(lines(capsys, "csv", RUNNING, namespaces=False))))
    assert row == {name: "" if value is None else str(value) for name, value in summarize(RUNNING).items()}
    assert lines(capsys, "csv", namespaces=False) == [",".join(summarize(RUNNING))]


def test_no_searches_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, "table", namespaces=False) == ["no searches in namespace team"]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (179 * 60, "179m"),
        (180 * 60, "3h"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d"),
    ],
)
def test_an_age_is_written_as_kubectl_does(seconds: int, written: str) -> None:
    assert age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == written


def test_an_age_that_is_not_known_is_left_out() -> None:
    assert age("") == ""
