"""`nas compare`: searches in state directories, side by side."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from nas_cli.comparing.comparison import choose_trials
from nas_controller.journal.journal import BatchSampled, SampledTrial, TrialFinished, TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.proposal import Proposal
from typer.testing import Result

from tests.unit.cli.conftest import MANIFEST

Nas = Callable[..., Result]


def search(directory: Path, rewards: Sequence[float], manifest: str = MANIFEST) -> Path:
    """A state directory of a search with different architectures of these rewards, with one more in training."""
    directory.mkdir(parents=True)
    (directory / "search.yaml").write_text(manifest)
    trials = tuple(SampledTrial(n, 1, Proposal((n,), 1), "{}", f"{n:032x}") for n in range(1, len(rewards) + 2))
    with SqliteJournal(directory / "journal.sqlite", "default/digits") as journal:
        journal.write(BatchSampled(1, 0, trials, 0.0)).result()
        for number, reward in enumerate(rewards, 1):
            journal.write(
                TrialFinished(number, number, None, "w", TrialState.SUCCEEDED, reward, "", "", (), 1.0, 1.0, 0.0)
            ).result()
    return directory


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Three searches each of two kinds; those of `ours` are ahead by 0.1 in the mean."""
    for number, start in enumerate((0.0, 0.01, 0.02)):
        search(tmp_path / f"random{number}", [start + 0.001 * trial for trial in range(20)])
        search(tmp_path / f"ours{number}", [start + 0.1 + 0.001 * trial for trial in range(20 + number)])
    return tmp_path


def groups(six: Path) -> list[str]:
    return [f"{name}=" + ",".join(str(six / f"{name}{number}") for number in range(3)) for name in ("random", "ours")]


def test_every_statistic_of_every_group_is_shown_with_the_difference_from_the_first(nas: Nas, six: Path) -> None:
    compared = nas("compare", *groups(six), "--every", 10)
    assert compared.exit_code == 0, compared.output
    out = compared.stdout
    assert all(title in out for title in ("Best reward", "of the 5 best", "of the 15 best"))
    assert "ours - random" in out
    # After 20 trials: 0.029 and 0.129 in the mean over searches that differ by 0.01.
    assert "0.0290 [0.0042, 0.0538]" in out
    assert "+0.1000 [+0.0773, +0.1227]" in out
    assert "95 % confidence intervals" in out


def test_json_has_the_same_numbers_as_csv(nas: Nas, six: Path) -> None:
    document = json.loads(nas("compare", *groups(six), "-o", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(nas("compare", *groups(six), "-o", "csv").stdout)))
    assert document["trials"] == 20  # that all have
    assert [group["searches"] for group in document["groups"]] == [3, 3]
    assert [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in document["rows"]
    ] == rows
    last = {(row["statistic"], row["group"]): row for row in document["rows"] if row["trials"] == 20}
    assert last["best", "ours"]["difference"] == pytest.approx(0.1)
    assert last["top5", "random"]["mean"] == pytest.approx(0.01 + 0.017)
    assert last["best", "random"]["difference"] is None


def test_two_directories_are_two_groups_named_after_them(nas: Nas, six: Path) -> None:
    compared = nas("compare", six / "random0", six / "ours0")
    assert "ours0 - random0" in compared.stdout
    assert "it may be luck" in compared.stdout


def test_a_search_that_is_running_is_compared_as_far_as_it_is(nas: Nas, six: Path) -> None:
    path = six / "random0" / "journal.sqlite"
    with SqliteJournal(path, "default/digits") as journal:
        journal.write(TrialFinished(21, 21, None, "w", TrialState.SUCCEEDED, 0.9, "", "", (), 1.0, 1.0, 0.0)).result()
        document = json.loads(nas("compare", six / "random0", six / "ours2", "-o", "json").stdout)
    assert document["trials"] == 21
    assert [group["trials"] for group in document["groups"]] == [21, 22]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_picture_is_drawn(nas: Nas, six: Path, suffix: str, count: int) -> None:
    file = six / f"compare{suffix}"
    compared = nas("compare", *groups(six)[:count], "--plot", file)
    assert compared.exit_code == 0, compared.output
    assert file.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


def test_rewards_that_do_not_mean_the_same_are_warned_of(nas: Nas, six: Path) -> None:
    other = search(six / "other", [0.5] * 3, MANIFEST.replace("epochs: 2", "epochs: 3"))
    compared = nas("compare", six / "random0", other)
    assert compared.exit_code == 0
    assert "spec.trainer" in compared.stderr
    assert "may not mean the same" in compared.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{six}/missing"], "does not exist"),
        (["a={six}/random0", "a={six}/ours0"], "two groups are named a"),
        (["a={six}/random0,{six}/random0"], "names a search twice"),
        (["=x"], "not of the form"),
        (["a="], "not of the form"),
        (["{six}/random0", "--plot", "x.gif"], ".png, .svg, .pdf"),
    ],
)
def test_bad_input_is_told(nas: Nas, six: Path, arguments: list[str], message: str) -> None:
    failed = nas("compare", *(argument.format(six=six) for argument in arguments))
    assert failed.exit_code == 2
    assert message in failed.stderr


def test_a_search_without_results_is_told(nas: Nas, tmp_path: Path) -> None:
    failed = nas("compare", search(tmp_path / "empty", []))
    assert failed.exit_code == 2
    assert "no trial of" in failed.stderr


@pytest.mark.parametrize(
    ("trials", "every", "chosen"),
    [
        (12_800, None, [*range(400, 12_800, 400), 12_800]),
        (40_000, None, [*range(5000, 40_000, 5000), 40_000]),
        (4000, None, [*range(400, 4000, 400), 4000]),
        (20, None, [5, 10, 15, 20]),
        (3, None, [1, 2, 3]),
        (1, None, [1]),
        (100, 30, [30, 60, 90, 100]),
        (10, 400, [10]),
    ],
)
def test_the_numbers_of_trials_fit_the_searches(trials: int, every: int | None, chosen: list[int]) -> None:
    assert choose_trials(trials, every) == chosen
