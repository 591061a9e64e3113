"""`nas trials`, `best` and `show` on a search whose results are known."""

import csv
import ctypes
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from nas_controller.journal.journal import (
    FinalTrainingFinished,
    FinalTrainingsPlanned,
    Measurement,
    PlannedTraining,
    TrialState,
)
from nas_controller.journal.sqlite import SqliteJournal
from typer.testing import Result

Nas = Callable[..., Result]


def numbers(table: str) -> list[int]:
    """The trials of a table, in its order."""
    return [int(line.split()[0]) for line in table.splitlines()[1:]]


def test_trials_are_listed_by_number_unfinished_ones_among_them(nas: Nas, state: Path) -> None:
    shown = nas("trials", "--state", state)
    assert shown.exit_code == 0, shown.output
    assert numbers(shown.stdout) == list(range(1, 17))
    lines = shown.stdout.splitlines()
    assert lines[3].split()[:4] == ["3", "Succeeded", "0.7290", "0.9"]
    assert lines[4].split()[1] == "Failed"
    assert "OutOfMemory" in lines[4]
    assert lines[9].split()[1] == "Leased"
    assert lines[10].split()[1] == "Pending"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--best"], [3, 8, 7, 2, 5, 1, 6]),
        (["--best", "--limit", "2"], [3, 8]),
        (["--failed"], [4]),
        (["--limit", "3"], [14, 15, 16]),
    ],
)
def test_trials_can_be_chosen(nas: Nas, state: Path, options: list[str], expected: list[int]) -> None:
    assert numbers(nas("trials", "-s", state, *options).stdout) == expected


def test_a_list_for_programs_says_the_same_in_json_yaml_and_csv(nas: Nas, state: Path) -> None:
    as_json = json.loads(nas("trials", "-s", state, "-o", "json").stdout)
    as_yaml = yaml.safe_load(nas("trials", "-s", state, "-o", "yaml").stdout)
    as_csv = list(csv.DictReader(io.StringIO(nas("trials", "-s", state, "-o", "csv").stdout)))
    assert as_json == as_yaml
    assert [int(row["trial"]) for row in as_csv] == [document["trial"] for document in as_json] == list(range(1, 17))
    best = as_json[2]
    assert best["reward"] == pytest.approx(0.729)
    assert best["val_accuracy"] == pytest.approx(0.9)
    assert best["state"] == "Succeeded"
    assert best["finishedAt"] == "2023-11-14T22:13:33+00:00"
    assert best["architecture"]["type"] == "ConvNet"
    assert as_csv[2]["digest"] == best["digest"]
    assert as_csv[3]["reason"] == "OutOfMemory"


def test_best_is_the_trial_of_the_highest_reward(nas: Nas, state: Path) -> None:
    best = nas("best", "-s", state, "-o", "json")
    assert json.loads(best.stdout) == json.loads(nas("show", "3", "-s", state, "-o", "json").stdout)
    assert json.loads(best.stdout)["trial"] == 3


def finish_final_training(state: Path, training: int, trial: int, accuracy: float) -> None:
    planned = PlannedTraining(training, trial, '{"epochs":60}', 0)
    series = (Measurement(60, {"val_accuracy": accuracy, "test_accuracy": accuracy / 2}, 9.0),)
    result = FinalTrainingFinished(
        training, None, "w", TrialState.SUCCEEDED, accuracy**3, "", "", series, 9.0, 9.0, 0, 1_700_000_050.0
    )
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(FinalTrainingsPlanned((planned,)), result).result()


def test_best_is_the_trial_of_the_highest_reward_of_a_final_training_once_there_is_one(nas: Nas, state: Path) -> None:
    finish_final_training(state, 1, trial=8, accuracy=0.92)
    finish_final_training(state, 2, trial=7, accuracy=0.91)
    best = json.loads(nas("best", "-s", state, "-o", "json").stdout)
    assert best["trial"] == 8
    assert best["finalTraining"]["metrics"] == {"val_accuracy": 0.92, "test_accuracy": 0.46}
    assert best["finalTraining"]["settings"] == {"epochs": 60}
    shown = nas("show", "7", "-s", state).stdout
    assert [line.split() for line in shown.splitlines()][-1] == [
        "best", "Succeeded", "0.7536", "0.455", "9.0s", "epochs", "60",
    ]  # fmt: skip


def test_show_lists_layers_with_inputs_shapes_and_counts_and_the_series(nas: Nas, state: Path) -> None:
    shown = nas("show", "best", "-s", state).stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["1", "3x1", "conv,", "11", "filters", "image", "11x8x8", "55", "4.22k"] in lines
    assert ["2", "2x2", "max", "pooling,", "stride", "2", "1", "11x4x4", "0", "0"] in lines
    assert ["3", "3x3", "conv,", "16", "filters", "1,", "2", "16x8x8", "3,200", "406k"] in lines
    assert ["global", "average", "pooling,", "linear", "3", "10", "170", "320"] in lines
    assert ["parameters", "3,425"] in lines
    assert ["2", "1", "0.9", "3.0s"] in lines


def test_show_says_why_a_trial_failed_and_where_its_log_is(nas: Nas, state: Path) -> None:
    shown = nas("show", "4", "-s", state).stdout
    assert "OutOfMemory" in shown
    assert "the GPU has 8 GiB" in shown
    assert str(state / "logs" / "trials" / "000004.log") in shown


def test_results_can_be_read_while_the_search_runs(nas: Nas, state: Path) -> None:
    with SqliteJournal(state / "journal.sqlite", "default/digits"):
        assert nas("best", "-s", state).exit_code == 0


def test_the_log_of_a_trial_is_printed(nas: Nas, state: Path) -> None:
    assert nas("logs", "4", "-s", state).stdout == "out of memory\n"
    none = nas("logs", "5", "-s", state)
    assert none.exit_code == 2
    assert "there is no log of trial 5 of digits: it is Succeeded" in none.stderr


def test_a_search_that_nobody_runs_cannot_be_watched(nas: Nas, state: Path) -> None:
    failed = nas("watch", "-s", state)
    assert failed.exit_code == 2
    assert "no `nas run` works on" in failed.stderr


def test_the_only_search_in_runs_is_found(
    nas: Nas, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = nas("best")
    assert missing.exit_code == 2
    assert "no search in ./runs" in missing.stderr

    (tmp_path / "runs").mkdir()
    state.rename(tmp_path / "runs" / "digits")
    assert nas("best").exit_code == 0

    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "runs" / "other" / "search.yaml").touch()
    several = nas("best")
    assert several.exit_code == 2
    assert "--state runs/digits" in several.stderr
    assert "--state runs/other" in several.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "17"], "digits has no trial 17"),
        (["show", "first"], "'first' is no trial: give its number, or `best`"),
        (["show", "-o", "csv", "3"], "csv"),
        (["trials", "--limit", "0"], "limit"),
    ],
)
def test_bad_usage_is_told_on_stderr_with_exit_code_2(
    nas: Nas, state: Path, arguments: list[str], message: str
) -> None:
    failed = nas(*arguments, "-s", state)
    assert failed.exit_code == 2
    assert failed.stdout == ""
    assert message in failed.stderr


def test_a_directory_without_a_search_is_told(nas: Nas, tmp_path: Path) -> None:
    assert "is no state directory" in nas("trials", "-s", tmp_path).stderr
    assert "does not exist" in nas("trials", "-s", tmp_path / "nothing").stderr


def test_a_search_without_a_success_has_no_best(nas: Nas, state: Path) -> None:
    (state / "journal.sqlite").unlink()
    SqliteJournal(state / "journal.sqlite", "default/digits").close()
    failed = nas("best", "-s", state)
    assert failed.exit_code == 2
    assert "no trial of digits has succeeded yet" in failed.stderr
    assert nas("trials", "-s", state).stdout == "no trials\n"


def test_a_journal_of_a_newer_version_is_told(nas: Nas, state: Path) -> None:
    with sqlite3.connect(state / "journal.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    failed = nas("trials", "-s", state)
    assert failed.exit_code == 2
    assert "newer version of KubeNAS" in failed.stderr


def test_a_state_directory_that_was_never_run_is_told(nas: Nas, state: Path) -> None:
    (state / "journal.sqlite").unlink()
    failed = nas("trials", "-s", state)
    assert failed.exit_code == 2
    assert "there is no journal" in failed.stderr


def test_an_archived_search_can_be_read_where_nothing_can_be_written(state: Path) -> None:
    def obey_permissions() -> None:
        """Takes from root the privilege to write everywhere (PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)."""
        if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1) != 0:
            raise OSError("cannot drop CAP_DAC_OVERRIDE")

    files = sorted(state.iterdir())
    state.chmod(0o555)
    try:
        shown = subprocess.run(
            [sys.executable, "-m", "nas_cli", "best", "-s", state, "-o", "json"],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=obey_permissions,
        )
    finally:
        state.chmod(0o755)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["trial"] == 3
    assert sorted(state.iterdir()) == files
