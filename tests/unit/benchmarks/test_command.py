"""The benchmark as it is run from a terminal."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tabular_benchmark.command import main

from tests.unit.benchmarks.tables import cells, write_table

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, beside which the searches of all tests are kept."""
    return cells(tmp_path_factory.mktemp("table") / "cells.csv.gz")


def arguments(table: Path, *more: object) -> list[str]:
    return [
        "--table", str(table), "--objective", "val", "--report", "test", "--seeds", "3", "--budget", "40", "--budgets",
        "10", "40", "--algorithms", "random", "tuned=REINFORCE:learningRate=0.05,duplicates=Train", "--jobs", "2",
        "--cache", str(table.parent / "cache"), *map(str, more),
    ]  # fmt: skip


def measured(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> dict[str, Any]:
    main([*words, "-o", "json"])
    results: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=refuse)
    return results


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def test_results_as_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = measured(capsys, arguments(table))
    assert (results["best"], results["architectures"], results["reward"]) == (90, 27, "0.01 * val ^ 1")
    assert [each["label"] for each in results["algorithms"]] == ["random", "tuned"]
    for algorithm in results["algorithms"]:
        early, late = algorithm["budgets"]
        assert early["regret"]["mean"] >= late["regret"]["mean"] >= 0
        assert late["objective"]["mean"] + late["regret"]["mean"] == pytest.approx(90)
        assert algorithm["seeds"] == 3


def test_it_gives_the_same_numbers_again_and_runs_nothing_that_it_has_run(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(capsys, arguments(table))
    with monkeypatch.context() as patched:
        patched.setattr("tabular_benchmark.runs.ProcessPoolExecutor", None)
        assert measured(capsys, arguments(table)) == first
        # A part of what is there needs no run either.
        assert measured(capsys, [*arguments(table), "--budgets", "10", "20", "--seeds", "2"])["seeds"] == 2
    assert (
        measured(capsys, arguments(table, "--cache", tmp_path))["algorithms"][1]["budgets"]
        == (first["algorithms"][1]["budgets"])
    )


def test_a_run_that_was_killed_while_it_wrote_is_run_again(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = measured(capsys, arguments(table))
    for file in (table.parent / "cache").iterdir():
        (tmp_path / file.name).write_text(file.read_text()[:-200])
    again = measured(capsys, arguments(table, "--cache", tmp_path))
    assert again["algorithms"][0]["budgets"] == first["algorithms"][0]["budgets"]


def test_tables_for_the_terminal_and_for_documents(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(table))
    out = capsys.readouterr().out
    assert "Regret in points of val (mean of 3 seeds ± standard error)" in out
    main(arguments(table, "--markdown"))
    lines = capsys.readouterr().out.splitlines()
    assert "| evaluations | 10 | 40 | area | until 0.037 |" in lines
    assert any(re.fullmatch(r"\| tuned \| \d+\.\d{3} ± \d+\.\d{3} \| .* \|", line) for line in lines)


def test_workers_on_the_clock(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = arguments(table, "--parallel", 8, "--seconds", "nas-bench-201", "--times", 200, 400, "--budgets", 10)
    results = measured(capsys, words)
    assert [each["seconds"] for each in results["algorithms"][0]["times"]] == [200, 400]
    main([*words, "--plot", str(tmp_path / "plot.png")])
    assert "8 asynchronous workers, simulated time" in capsys.readouterr().out
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_written_and_rendered_again(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, plot = tmp_path / "results.json", tmp_path / "regret.svg"
    main(arguments(table, "-o", file))
    main(["--render", str(file), "-o", str(tmp_path / "results.md"), "--plot", str(plot)])
    main(["--render", str(file), "-o", "markdown"])
    assert (tmp_path / "results.md").read_text() == capsys.readouterr().out
    assert plot.read_text().startswith("<?xml")


@pytest.mark.parametrize(("scale", "exponent"), [(1, -1), (-1, 1)])
def test_a_table_of_losses(tmp_path: Path, capsys: pytest.CaptureFixture[str], scale: int, exponent: int) -> None:
    rows = [{"arch": f"{a}{b}", "loss": 1.5 + a + b} for a in range(3) for b in range(3)]
    table = write_table(tmp_path / "t.csv", rows)
    words = ["--table", table, "--objective", "loss", "--algorithms", "random", "--seeds", 2, "--budget", 30]
    words += ["--exponent", exponent, "--scale", scale, "--cache", tmp_path, "--budgets", 1, 30]
    results = measured(capsys, [str(word) for word in words])
    assert results["best"] == 1.5
    first, last = results["algorithms"][0]["budgets"]
    assert first["regret"]["mean"] > last["regret"]["mean"] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--objective", "accuracy"], "has no column accuracy: it has arch, val, test, seconds"),
        (["--algorithms", "anneal"], "there is no algorithm 'anneal'"),
        (["--algorithms", "random", "random"], "two algorithms have the same label"),
        (["-o", "results.txt"], "neither table, json, markdown, nor a file"),
        (["--plot", "plot.gif"], "should end in .png, .svg, .pdf"),
        (["--seconds", "val2"], "has no column val2"),
    ],
)
def test_bad_input_is_told_at_once(
    table: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments(table, *more))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_table_with_missing_cells_is_refused_or_its_gaps_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"arch": f"{a}{b}", "y": a + b} for a in range(3) for b in range(3) if a + b != 4]
    words = ["--table", str(write_table(tmp_path / "t.csv", rows)), "--objective", "y", "--seeds", "2"]
    words += ["--budget", "30", "--algorithms", "random", "--cache", str(tmp_path)]
    with pytest.raises(SystemExit):
        main(words)
    assert "1 of the 9 architectures of its space have no y: 2/2 (no row)" in capsys.readouterr().err
    assert measured(capsys, [*words, "--missing-fails"])["algorithms"][0]["budgets"][0]["regret"]["mean"] == 0


def test_architectures_without_what_is_reported_are_left_out_of_its_mean_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"arch": f"{a}{b}", "y": 1 + a + b, "test": "" if a + b > 2 else a + b} for a in range(3) for b in range(3)]
    words = ["--table", str(write_table(tmp_path / "t.csv", rows)), "--objective", "y", "--report", "test"]
    words += ["--seeds", "4", "--budget", "60", "--budgets", "1", "60", "--algorithms", "random"]
    first, last = measured(capsys, [*words, "--cache", str(tmp_path)])["algorithms"][0]["budgets"]
    assert first["report"]["mean"] <= 2
    assert last["report"] == {"mean": None, "standard_error": None}
    main([*words, "--cache", str(tmp_path)])
    text = capsys.readouterr().out
    assert "test of the same architecture (mean of 4 seeds ± standard error; 3 of 9 rows have none and are left" in text
    assert re.search(r"random .* - +\n", text)


@pytest.mark.parametrize("column", ["y", "test"])
def test_a_column_without_numbers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str) -> None:
    rows = [{"arch": str(a), "y": a, "test": a} | {column: ""} for a in range(3)]
    words = ["--table", str(write_table(tmp_path / "t.csv", rows)), "--objective", "y", "--report", "test"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--missing-fails", "--cache", str(tmp_path)])
    assert ended.value.code == 2
    assert f"none of its 3 rows has a number in column {column}" in capsys.readouterr().err


def test_a_gap_is_no_better_than_the_worst_when_rewards_are_negative(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"arch": f"{a}{b}", "loss": 2 + a + b} for a in range(6) for b in range(6) if b or a < 2]
    words = ["--table", str(write_table(tmp_path / "t.csv", rows)), "--objective", "loss", "--seeds", "3"]
    words += ["--budget", "30", "--algorithms", "localsearch:initialSamples=4", "--cache", str(tmp_path)]
    figures = measured(capsys, [*words, "--scale", "-1", "--missing-fails"])["algorithms"][0]
    assert figures["budgets"][-1]["regret"]["mean"] == 0


def test_the_file_runs_from_anywhere(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "search_quality.py", "--help"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "--table CSV" in ran.stdout
    assert "search_quality.py --table nasbench201.csv.gz" in ran.stdout
