"""Checks as a table and as documents."""

import json

import pytest
import yaml
from nas_cli.cluster.preflight.check import Check, Outcome, failed, ok, warning, worst
from nas_cli.cluster.preflight.writing import write_checks

GOOD, SOSO = ok("quota", "there is room"), warning("nodes", "2 of 4 workers fit now", "Wait.")
BAD = failed("operator", "there is none", "Install it.")


def written(capsys: pytest.CaptureFixture[str], output: str, *checks: Check) -> str:
    write_checks(checks, "team/digits", "gpu-cluster", output)
    return capsys.readouterr().out


def test_the_table_says_what_is_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    lines = written(capsys, "table", GOOD, SOSO, BAD).splitlines()
    assert [line.split()[:2] for line in lines if line and not line.startswith(" ")][:4] == [
        ["check", "outcome"], ["quota", "ok"], ["nodes", "warning"], ["operator", "failed"]
    ]  # fmt: skip
    assert [line.strip() for line in lines if "→" in line] == ["→ Wait.", "→ Install it."]
    assert lines[-1] == "team/digits cannot run: 1 failed, 1 warning, in the cluster of the context gpu-cluster"


def test_the_verdict_is_that_of_the_worst(capsys: pytest.CaptureFixture[str]) -> None:
    assert "can run in the cluster" in written(capsys, "table", GOOD)
    assert "can run, with 1 warning, in the cluster" in written(capsys, "table", GOOD, SOSO)
    assert [worst(checks) for checks in ([], [GOOD], [GOOD, SOSO], [BAD, SOSO, GOOD])] == [
        Outcome.OK, Outcome.OK, Outcome.WARNING, Outcome.FAILED
    ]  # fmt: skip


def test_programs_get_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    as_json = json.loads(written(capsys, "json", GOOD, BAD))
    assert as_json == yaml.safe_load(written(capsys, "yaml", GOOD, BAD))
    assert (as_json["search"], as_json["outcome"]) == ("team/digits", "failed")
    assert as_json["checks"][1] == {
        "check": "operator", "outcome": "failed", "message": "there is none", "advice": "Install it."
    }  # fmt: skip
