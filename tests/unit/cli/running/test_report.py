"""The end of a run: how the search stands and what to do next."""

import io
from pathlib import Path
from typing import cast

import pytest
from nas_cli.running.report import print_report
from nas_cli.state_directory import StateDirectory
from nas_controller import equal_rewards
from nas_controller.journal.journal import FactLearned, SearchStateChanged
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.progress import Verdict
from rich.console import Console

COMMAND = ["nas", "run", "my search.yaml", "--set", "spec.seed=0"]


def report(state: Path, command: list[str] = COMMAND, elapsed: float | None = None) -> tuple[str, Verdict | None]:
    console = Console(file=io.StringIO(), width=200)
    verdict = print_report(StateDirectory(state), console, command, elapsed)
    return cast("io.StringIO", console.file).getvalue(), verdict


def bound(state: Path, budget: str) -> None:
    manifest = state / "search.yaml"
    manifest.write_text(manifest.read_text().replace("maxTrials: 12", budget))


def test_a_search_that_was_stopped_says_what_was_best_and_how_to_go_on(state: Path) -> None:
    text, verdict = report(state, elapsed=65.0)
    assert verdict is None
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:5] == [
        "digits was stopped before its end",
        "trials 8 finished, 1 of them failed",
        "time 1m 05s",
        "best trial 3: reward 0.7290, val_accuracy 0.9, 3.42k parameters",
        f"state {state}",
    ]
    assert "nas run 'my search.yaml' --set spec.seed=0 go on with the search" in lines
    for command in (
        "nas show best",
        "nas plot -o curve.png",
        "nas report -o report.html",
        "nas train best",
        "nas export best",
        "nas trials --failed",
    ):
        assert any(line.startswith(f"{command}") and f"-s {state}" in line for line in lines)


def test_a_search_says_what_it_saved_and_counts_the_replay_of_a_stopped_trial_once(replayed: Path) -> None:
    lines = [" ".join(line.split()) for line in report(replayed)[0].splitlines()]
    assert "saved trials 2 replayed, 1 stopped early" in lines


def test_what_early_stopping_and_rewards_have_to_tell_is_told_until_it_is_over(state: Path) -> None:
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(FactLearned("early_stopping", "one was spared"), FactLearned(equal_rewards.FACT, "all equal"))
    lines = [" ".join(line.split()) for line in report(state)[0].splitlines()]
    assert {"early stopping one was spared", "rewards all equal"} < set(lines)
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(FactLearned(equal_rewards.FACT, ""))
    assert "\nrewards" not in report(state)[0]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (COMMAND, "nas run 'my search.yaml' --set spec.seed=0 --set spec.budget.maxTrials=16 "),
        (
            ["nas", "run", "a.yaml", "--set", "spec.budget.maxTrials=8"],
            "nas run a.yaml --set spec.budget.maxTrials=16 ",
        ),
    ],
)
def test_a_search_that_has_ended_says_how_to_go_further(state: Path, command: list[str], expected: str) -> None:
    bound(state, "maxTrials: 8")
    text, verdict = report(state, command)
    assert verdict is not None
    assert verdict.state == "SUCCEEDED"
    assert "digits has ended: 8 trials have finished" in text
    assert expected in text


def test_a_reward_that_was_reached_can_be_raised(state: Path) -> None:
    bound(state, "targetReward: 0.7")
    assert "--set spec.budget.targetReward=..." in report(state)[0]


def test_a_duration_that_is_over_can_be_raised(state: Path) -> None:
    bound(state, "maxDuration: 2m")
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(FactLearned("active_seconds", "120.5")).result()
    text, _ = report(state)
    assert "time    2m 00s" in text
    assert "--set spec.budget.maxDuration=..." in text


def test_a_search_that_failed_says_so(state: Path) -> None:
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        change = SearchStateChanged("FAILED", "NoAcceptableArchitecture", "no architecture keeps the limits", 0.0)
        journal.write(change).result()
    text, verdict = report(state)
    assert verdict is not None
    assert verdict.state == "FAILED"
    assert "digits has failed: no architecture keeps the limits" in text
    assert "go on" not in text
