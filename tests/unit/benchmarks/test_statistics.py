"""What the figures of a benchmark are, on searches whose course is known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabular_benchmark.contestants import Contestant
from tabular_benchmark.figures import figures_of
from tabular_benchmark.simulation import FAILED, Run
from tabular_benchmark.statistics import Mean, Scale, incumbents, top_means

ACCURACY = np.array([50.0, 60.0, 70.0, 80.0, 90.0])
HIGHER = Scale(ACCURACY, 1)
LOWER = Scale(ACCURACY, -1)  # as if it were an error


def run(rows: Sequence[int], *, every: float = 10.0, **more: object) -> Run:
    """A search whose trials finish one after the other."""
    return Run(
        seed=0,
        rows=list(rows),
        finished_at=[every * number for number in range(1, len(rows) + 1)],
        device_seconds=[every] * len(rows),
        seconds=every * len(rows),
        **more,  # type: ignore[arg-type]
    )


@given(st.lists(st.sampled_from([FAILED, 0, 1, 2, 3, 4]), min_size=1, max_size=30))
def test_the_incumbent_is_the_best_of_what_was_seen(rows: list[int]) -> None:
    for scale, best in ((HIGHER, max), (LOWER, min)):
        found = incumbents(run(rows), scale, len(rows))
        for index in range(len(rows)):
            seen = [row for row in rows[: index + 1] if row != FAILED]
            assert found[index] == (best(seen) if seen else FAILED)


def test_among_equals_the_first_is_the_incumbent() -> None:
    assert incumbents(run([1, 0, 1]), Scale(np.array([5.0, 5.0]), 1), 3).tolist() == [1, 1, 1]


def test_a_search_that_has_converged_keeps_what_it_found() -> None:
    assert incumbents(run([0, 3]), HIGHER, 5).tolist() == [0, 3, 3, 3, 3]


def test_regret_is_how_much_worse_than_the_best_of_the_table() -> None:
    assert HIGHER.regret(np.array([90.0, 70.0])).tolist() == [0, 20]
    assert LOWER.regret(np.array([90.0, 50.0])).tolist() == [40, 0]


def test_the_mean_of_the_best_counts_an_architecture_once() -> None:
    rows = [4, 4, FAILED, 3, 0, 0, 1]
    assert top_means(run(rows), HIGHER, 2, [1, 2, 4, 7]).tolist() == [90, 90, 85, 85]
    assert top_means(run(rows), HIGHER, 3, [7]).tolist() == pytest.approx([(90 + 80 + 60) / 3])
    assert top_means(run(rows), LOWER, 2, [7]).tolist() == [55]


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_the_standard_error_is_that_of_a_sample(values: list[float]) -> None:
    mean = Mean.of(np.array(values))
    assert mean.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    variance = sum((value - mean.mean) ** 2 for value in values) / (len(values) - 1)
    assert mean.standard_error == pytest.approx(math.sqrt(variance / len(values)), abs=1e-6)


def test_one_seed_has_no_standard_error() -> None:
    assert Mean.of(np.array([1.0])).standard_error is None


def test_seeds_without_a_value_are_left_out() -> None:
    assert Mean.of(np.array([math.nan, 2.0, 4.0])) == Mean.of(np.array([2.0, 4.0]))
    assert Mean.of(np.array([math.nan])) == Mean(None, None)


@pytest.mark.parametrize(("scale", "worst"), [(HIGHER, 1.0), (LOWER, 5.0)])
def test_one_that_has_found_nothing_reports_the_worst_of_the_table(scale: Scale, worst: float) -> None:
    figures = figures_of(
        Contestant("a", "Random", ()), [run([FAILED, 2])], scale, np.array([1.0, 2, math.nan, 4, 5]),
        budgets=[1, 2], times=[], target=0.0,
    )  # fmt: skip
    assert figures["budgets"][0]["report"]["mean"] == worst
    assert figures["budgets"][1]["report"] == {"mean": None, "standard_error": None}


def test_figures_of_two_searches() -> None:
    runs = [
        run([0, 3, 4, 4], lags=[0, 2], idle_seconds=4.0, learner_seconds=0.4),
        run([FAILED, 1, 2, 3], lags=[1], learner_seconds=0.4),
    ]
    report = ACCURACY - 5
    figures = figures_of(
        Contestant("ours", "REINFORCE", ()), runs, HIGHER, report, budgets=[1, 2, 4], times=[5.0, 25.0], target=10.0
    )
    first, second, last = figures["budgets"]
    assert first["regret"]["mean"] == 40  # one that has found nothing yet has what is worst
    assert second["regret"]["mean"] == 20
    assert second["objective"]["mean"] == 70
    assert second["report"]["mean"] == 65
    assert last["top_5"]["mean"] == pytest.approx(((50 + 80 + 90) / 3 + (60 + 70 + 80) / 3) / 2)
    assert figures["evaluations_to_target"] == 3  # 0 and 20
    assert figures["device_seconds_to_target"] == 30
    assert [each["regret"]["mean"] for each in figures["times"]] == [40, 20]
    assert figures["times"][1]["evaluations"]["mean"] == 2
    assert figures["idle_share"]["mean"] == pytest.approx(0.05)
    assert figures["version_lag"] == {"mean": 1.0, "max": 2}
    assert figures["learner_ms_per_trial"] == pytest.approx(100)
    assert figures["curve"]["regret"] == [40, 20, 10, 5]
    assert figures["area"]["mean"] == pytest.approx((40 + 20 + 10 + 5) / 4)


def test_a_target_that_is_not_reached_is_told_as_such() -> None:
    figures = figures_of(
        Contestant("a", "Random", ()), [run([0, 1])], HIGHER, ACCURACY, budgets=[2], times=[], target=5.0
    )
    assert figures["evaluations_to_target"] is None
    assert figures["device_seconds_to_target"] is None


def test_what_a_replay_finds_costs_no_device_seconds() -> None:
    replaying = run([0, 0, 4])
    replaying.device_seconds[1] = 0.0
    figures = figures_of(Contestant("a", "PPO", ()), [replaying], HIGHER, ACCURACY, budgets=[3], times=[], target=0.0)
    assert figures["evaluations_to_target"] == 3
    assert figures["device_seconds_to_target"] == 20
