"""`nas report` writes a page of a search in a state directory."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from nas_controller import equal_rewards
from nas_controller.journal.journal import FactLearned, LeaseEnded, LeaseGranted
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import make_token
from typer.testing import Result

from tests.unit.cli.conftest import MANIFEST

Nas = Callable[..., Result]


def twin_of(state: Path, manifest: str = MANIFEST) -> Path:
    """A random twin beside a search, with the same results."""
    twin = state.with_name(f"{state.name}-random")
    shutil.copytree(state, twin)
    (twin / "search.yaml").write_text(manifest)
    return twin


def test_a_page_is_written_and_said_where(nas: Nas, state: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    written = nas("report", "-o", file, "-s", state)
    assert written.exit_code == 0, written.output
    assert written.stdout == f"wrote {file}\n"
    page = file.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "0.7290" in page
    assert "trial 3, val_accuracy 0.9" in page
    assert "OutOfMemory" in page


def test_it_can_be_written_while_the_search_runs_and_again(nas: Nas, state: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    with SqliteJournal(state / "journal.sqlite", "default/digits"):
        assert nas("report", "-o", file, "-s", state).exit_code == 0
        first = file.read_text()
        assert nas("report", "-o", file, "-s", state).exit_code == 0
    assert "has not ended" in first


def test_a_search_without_results_has_a_page_too(nas: Nas, state: Path, tmp_path: Path) -> None:
    (state / "journal.sqlite").unlink()
    SqliteJournal(state / "journal.sqlite", "default/digits").close()
    assert nas("report", "-o", tmp_path / "report.html", "-s", state).exit_code == 0
    assert "No trial has finished yet." in (tmp_path / "report.html").read_text()


def test_equal_rewards_are_told_above_the_figures(nas: Nas, state: Path, tmp_path: Path) -> None:
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(FactLearned(equal_rewards.FACT, "they are all equal"))
    nas("report", "-o", tmp_path / "report.html", "-s", state)
    assert '<p class="remark">they are all equal</p>' in (tmp_path / "report.html").read_text()


def test_the_replay_of_a_stopped_trial_counts_once_as_a_replay(nas: Nas, replayed: Path, tmp_path: Path) -> None:
    nas("report", "-o", tmp_path / "report.html", "-s", replayed)
    page = (tmp_path / "report.html").read_text()
    assert "<dt>stopped early</dt><dd>1 " in page
    assert "<dt>replayed</dt><dd>2 " in page
    assert "2 trials had the architecture of an earlier one, and with it its result, which had taken 4.0s" in page
    assert "1 trial stopped early." in page


@pytest.mark.parametrize("top", [0, 1, 5])
def test_as_many_architectures_are_drawn_as_are_asked_for(nas: Nas, state: Path, tmp_path: Path, top: int) -> None:
    nas("report", "-o", tmp_path / "report.html", "-s", state, "--top", top)
    assert (tmp_path / "report.html").read_text().count('class="card"') == top


def test_the_random_twin_beside_it_is_on_it(nas: Nas, state: Path, tmp_path: Path) -> None:
    twin_of(state)
    assert nas("report", "-o", tmp_path / "report.html", "-s", state).stderr == ""
    assert "random twin: best so far" in (tmp_path / "report.html").read_text()


def test_a_twin_that_was_trained_otherwise_is_left_out_with_a_warning(nas: Nas, state: Path, tmp_path: Path) -> None:
    twin_of(state, MANIFEST.replace("epochs: 2", "epochs: 3"))
    written = nas("report", "-o", tmp_path / "report.html", "-s", state)
    assert written.exit_code == 0
    assert "the random twin is left out: spec.trainer of" in written.stderr
    assert "random twin" not in (tmp_path / "report.html").read_text()


def test_a_twin_that_cannot_be_read_is_left_out_with_a_warning(nas: Nas, state: Path, tmp_path: Path) -> None:
    (twin_of(state) / "journal.sqlite").write_bytes(b"not a journal")
    written = nas("report", "-o", tmp_path / "report.html", "-s", state)
    assert written.exit_code == 0
    assert "the random twin is left out" in written.stderr


def test_what_nas_train_has_trained_is_on_it_and_what_is_broken_is_told(nas: Nas, state: Path, tmp_path: Path) -> None:
    for number, text in ((3, '{"trial": 3, "epochs": 30, "test_accuracy": 0.9123, "seconds": 9.0}'), (7, "{")):
        directory = state / "trained" / f"{number:06d}"
        directory.mkdir(parents=True)
        (directory / "metrics.json").write_text(text)
    written = nas("report", "-o", tmp_path / "report.html", "-s", state)
    assert written.exit_code == 0
    assert "000007/metrics.json is left out" in written.stderr
    assert "0.9123" in (tmp_path / "report.html").read_text()


def test_with_a_price_it_says_what_the_search_has_cost(nas: Nas, state: Path, tmp_path: Path) -> None:
    lease = make_token(1, 10, "default")
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(
            LeaseGranted(lease, 10, "default-1", "request-10", 1, 1_700_000_100.0),
            LeaseEnded(lease, 10, "Released", 1_700_003_700.0),
        ).result()
    written = nas("report", "-o", tmp_path / "report.html", "-s", state, "--price", "default=2.5", "--currency", "USD")
    assert written.exit_code == 0
    assert "2.50 USD" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["-o", "{tmp}/report.pdf", "-s", "{state}"], ".html or .htm", 2),
        (["-o", "{tmp}/missing/report.html", "-s", "{state}"], "there is no folder {tmp}/missing", 2),
        (["-o", "{tmp}/report.html", "-s", "{tmp}/nothing"], "does not exist", 2),
        (["-o", "{tmp}/report.html", "-s", "{tmp}"], "is no state directory", 2),
        (["-o", "{tmp}/report.html", "-s", "{state}", "--price", "gpu=1"], "there is no pool gpu. There is default", 2),
        (["-o", "{tmp}/a.html", "-s", "{state}"], "Is a directory", 1),
        (["-s", "{state}"], "--output", 2),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(
    nas: Nas, state: Path, tmp_path: Path, arguments: list[str], message: str, status: int
) -> None:
    (tmp_path / "a.html").mkdir()
    failed = nas("report", *(argument.format(tmp=tmp_path, state=state) for argument in arguments))
    assert failed.exit_code == status
    assert message.format(tmp=tmp_path) in failed.stderr
    assert not (tmp_path / "report.html").exists()
