"""`nas plot` writes pictures of a search and of an architecture."""

from collections.abc import Callable
from pathlib import Path

import pytest
from nas_controller.journal.sqlite import SqliteJournal
from typer.testing import Result

Nas = Callable[..., Result]
MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("trial", [[], ["--trial", "best"], ["--trial", "4"], ["--trial", "16"]])
def test_a_picture_is_written(nas: Nas, state: Path, tmp_path: Path, suffix: str, trial: list[str]) -> None:
    file = tmp_path / f"picture{suffix}"
    plotted = nas("plot", "-o", file, *trial, "-s", state)
    assert plotted.exit_code == 0, plotted.output
    assert file.read_bytes().startswith(MAGIC[suffix])
    assert str(file) in plotted.stdout


def test_the_title_says_which_search_and_how_good(nas: Nas, state: Path, tmp_path: Path) -> None:
    nas("plot", "-o", tmp_path / "curve.svg", "-s", state)
    assert "digits: best reward 0.7290 after 8 trials" in (tmp_path / "curve.svg").read_text()
    nas("plot", "-o", tmp_path / "best.svg", "--trial", "best", "-s", state)
    assert "digits: trial 3, reward 0.7290" in (tmp_path / "best.svg").read_text()


@pytest.mark.parametrize("name", ["curve", "curve.gif", "curve.txt"])
def test_a_kind_of_picture_that_is_not_known_is_told(nas: Nas, state: Path, tmp_path: Path, name: str) -> None:
    failed = nas("plot", "-o", tmp_path / name, "-s", state)
    assert failed.exit_code == 2
    assert ".png, .svg, .pdf" in failed.stderr


def test_a_file_that_cannot_be_written_is_told(nas: Nas, state: Path, tmp_path: Path) -> None:
    failed = nas("plot", "-o", tmp_path / "missing" / "curve.png", "-s", state)
    assert failed.exit_code == 1
    assert "No such file or directory" in failed.stderr


def test_a_search_without_results_cannot_be_drawn(nas: Nas, state: Path, tmp_path: Path) -> None:
    (state / "journal.sqlite").unlink()
    SqliteJournal(state / "journal.sqlite", "default/digits").close()
    failed = nas("plot", "-o", tmp_path / "curve.png", "-s", state)
    assert failed.exit_code == 2
    assert "no trial of digits has finished yet" in failed.stderr
