"""Searches of a table by a clock: what is trained when, by whom, and what waits."""

from pathlib import Path

import numpy as np
import pytest
from tabular_benchmark.contestants import build_manifest, parse_contestant
from tabular_benchmark.simulation import FAILED, Run, simulate
from tabular_benchmark.table import Table, read_table

from tests.unit.benchmarks.tables import cells, digits, write_table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """All strings of four digits out of five, the better the smaller."""
    return read_table(digits(tmp_path / "digits.csv", decisions=4, choices=5), ["loss"])


def search(table: Table, algorithm: str, *, seed: int = 0, evaluations: int = 64, **more: object) -> Run:
    objective = next(iter(table.columns))
    manifest = build_manifest(parse_contestant(algorithm), table.choices, seed=seed, exponent=-1.0)
    seconds = more.pop("seconds", np.ones(len(table.architectures)))
    return simulate(manifest, table, objective, seconds, evaluations=evaluations, **more)  # type: ignore[arg-type]


def uneven(table: Table) -> np.ndarray:
    """Seconds that differ as much as those of convolutions and of shortcuts do."""
    return 10 + np.random.default_rng(0).exponential(10, len(table.architectures))


def test_one_worker_trains_one_after_the_other(table: Table) -> None:
    run = search(table, "Random:duplicates=Train", seconds=np.full(625, 3.0))
    assert run.finished_at == [3.0 * number for number in range(1, 65)]
    assert run.device_seconds == [3.0] * 64
    assert run.idle_seconds == 0
    assert run.seconds == 192


def test_the_same_seed_gives_the_same_search_and_another_seed_another(table: Table) -> None:
    assert search(table, "REINFORCE", seed=3).rows == search(table, "REINFORCE", seed=3).rows
    assert search(table, "REINFORCE", seed=3).rows != search(table, "REINFORCE", seed=4).rows


def test_a_longer_search_begins_like_a_shorter_one(table: Table) -> None:
    assert search(table, "REINFORCE", evaluations=80).rows[:40] == search(table, "REINFORCE", evaluations=40).rows[:40]


def test_a_policy_gradient_learns_from_the_table(table: Table) -> None:
    """Of random search the last trials are as good as the first."""
    run = search(table, "REINFORCE:learningRate=0.02,duplicates=Train", evaluations=1200)
    losses = table.columns["loss"][run.rows]
    assert losses[-200:].mean() < losses[:200].mean() - 2


def test_with_replays_an_architecture_is_trained_once(table: Table) -> None:
    run = search(table, "Random", evaluations=900)
    trained = [row for row, seconds in zip(run.rows, run.device_seconds, strict=True) if seconds > 0]
    assert len(trained) == len(set(trained))
    assert set(trained) == set(run.rows)
    assert len(trained) < 625 < len(run.rows)


def test_free_running_workers_are_never_idle_and_learn_late(table: Table) -> None:
    run = search(table, "REINFORCE:duplicates=Train", workers=16, evaluations=400, seconds=uneven(table))
    assert run.idle_seconds == 0
    assert max(run.lags) > 0
    assert run.finished_at == sorted(run.finished_at)
    # All worked all the time; what was under way at the end is not in it.
    assert sum(run.device_seconds) == pytest.approx(16 * run.seconds, rel=0.1)


def test_replicas_that_wait_for_their_slowest_child_leave_workers_idle(table: Table) -> None:
    waiting = search(table, "REINFORCE:replicas=2,duplicates=Train", workers=16, evaluations=400, seconds=uneven(table))
    free = search(table, "REINFORCE:duplicates=Train", workers=16, evaluations=400, seconds=uneven(table))
    assert waiting.idle_seconds / (16 * waiting.seconds) > 0.2
    assert waiting.seconds > 1.2 * free.seconds
    assert np.mean(waiting.lags) < np.mean(free.lags)  # but its gradients are less late


def test_jobs_of_the_learner_may_take_time(table: Table) -> None:
    run = search(table, "Random:duplicates=Train", job_seconds=0.5, evaluations=8, seconds=np.full(625, 3.0))
    assert run.idle_seconds > 0
    assert run.seconds == pytest.approx(8 * 3.0 + run.idle_seconds)


def test_it_goes_on_until_a_time(table: Table) -> None:
    run = search(table, "Random:duplicates=Train", evaluations=1, until=50.0)
    assert run.seconds == 50
    assert len(run.rows) == 50


def test_architectures_without_a_result_are_failed_trials(tmp_path: Path) -> None:
    rows = [{"arch": f"{a}{b}", "y": a + b + 1 if b else ""} for a in range(4) for b in range(4) if a]
    run = search(read_table(write_table(tmp_path / "t.csv", rows), ["y"]), "Random", evaluations=60)
    failed = run.rows.count(FAILED)
    assert 0 < failed < 60
    assert all(row == FAILED or row % 4 for row in run.rows)


def test_a_search_that_proposes_nothing_new_any_more_has_converged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_controller.standing.CONVERGED_AFTER", 50)
    rows = [{"arch": str(digit), "y": digit + 1} for digit in range(2)]
    run = search(read_table(write_table(tmp_path / "t.csv", rows), ["y"]), "Random", evaluations=1000)
    assert run.converged
    assert sum(run.device_seconds) == 2


def test_cells_are_searched_as_strings_of_digits_are(tmp_path: Path) -> None:
    table = read_table(cells(tmp_path / "cells.csv"), ["val"])
    assert set(search(table, "Random", evaluations=400).rows) == set(range(27))
