"""Confidence intervals: quantiles as in printed tables, and coverage as promised."""

import math

import numpy as np
import pytest
from nas_cli.comparing.interval import difference_interval, mean_interval, t_quantile


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 5, 2.571), (0.975, 30, 2.042), (0.95, 10, 1.812), (0.995, 4, 4.604),
     (0.5, 3, 0.0), (0.975, 1000, 1.962)],
)  # fmt: skip
def test_quantiles_are_those_of_printed_tables(probability: float, freedom: float, quantile: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(quantile, abs=6e-4)


def test_the_mean_of_three_searches_has_the_interval_that_a_calculator_gives() -> None:
    interval = mean_interval(np.array([[1.0], [2.0], [3.0]]), 0.95)
    half = 4.3027 / math.sqrt(3)
    assert (interval.low[0], interval.mean[0], interval.high[0]) == pytest.approx((2 - half, 2, 2 + half), abs=1e-3)


def test_one_search_has_a_mean_and_no_interval() -> None:
    for interval in (
        mean_interval(np.array([[1.0, 2.0]]), 0.95),
        difference_interval(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0], [0.0, 0.0]]), 0.95),
    ):
        assert interval.mean.tolist() == [1.0, 2.0]
        assert np.isnan(interval.low).all()
        assert np.isnan(interval.high).all()


def test_searches_that_agree_have_an_interval_of_no_width() -> None:
    interval = difference_interval(np.full((3, 1), 0.7), np.full((2, 1), 0.5), 0.95)
    assert (interval.low[0], interval.high[0]) == pytest.approx((0.2, 0.2))


def test_where_a_search_has_nothing_yet_nothing_is_known() -> None:
    interval = mean_interval(np.array([[math.nan, 1.0], [0.5, 2.0]]), 0.95)
    assert np.isnan([interval.mean[0], interval.low[0]]).all()
    assert interval.mean[1] == 1.5


def test_intervals_cover_the_truth_as_often_as_they_promise() -> None:
    """Of differences, with unequal variances and few searches, where taking the variances for equal would fail."""
    generator = np.random.default_rng(0)
    wide, narrow = generator.normal(1.0, 3.0, (4, 4000)), generator.normal(0.0, 0.5, (12, 4000))
    interval = difference_interval(wide, narrow, 0.9)
    covered = ((interval.low <= 1.0) & (interval.high >= 1.0)).mean()
    assert covered == pytest.approx(0.9, abs=0.02)
