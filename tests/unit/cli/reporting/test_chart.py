"""Charts: where things are drawn, and how axes and labels are chosen."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_cli import wording
from nas_cli.reporting.axes import linear_axis, positive_axis, time_unit
from nas_cli.reporting.chart import SIZE, Axis, Chart, Point, Series, thinned

X = Axis("x", 0.0, 10.0, ())
Y = Axis("y", 1.0, 100.0, (), logarithmic=True)
floats = st.floats(-1e6, 1e6)


def chart(series: Series) -> Chart:
    return Chart(
        "key", "title", "description", X, Y, [series], [Point(5.0, 10.0, "here"), Point(5.0, -math.inf, "low")]
    )


def test_a_line_goes_from_point_to_point_with_y_upwards() -> None:
    line = Series("", "", "line", [(0.0, 1.0), (5.0, 10.0), (10.0, 100.0)])
    assert chart(line).path(line) == "M0.0 1000.0L500.0 500.0L1000.0 0.0"


def test_a_step_keeps_its_height_until_the_next_point() -> None:
    line = Series("", "", "step", [(0.0, 1.0), (5.0, 10.0)])
    assert chart(line).path(line) == "M0.0 1000.0H500.0V500.0"


def test_dots_that_are_off_the_axes_are_at_their_edge() -> None:
    dots = Series("", "", "dots", [(5.0, 10.0), (20.0, 1000.0), (5.0, -math.inf)])
    assert chart(dots).path(dots) == "M500 500h0M1000 0h0M500 1000h0"


def test_tips_are_where_their_dots_are() -> None:
    assert chart(Series("", "", "dots", [])).placed_tips() == [(500, 500, "here"), (500, 1000, "low")]


@given(floats, floats, st.booleans(), st.booleans())
def test_a_linear_axis_has_room_for_its_values_and_a_few_ticks_in_order(
    a: float, b: float, margin: bool, integer: bool
) -> None:
    low, high = min(a, b), max(a, b)
    axis = linear_axis("", low, high, margin=margin, integer=integer)
    assert -1e-6 <= axis.place(low) <= axis.place(high) <= SIZE + 1e-6
    places = [axis.place(value) for value, _ in axis.ticks]
    assert places == sorted(places)
    assert all(-1e-6 <= place <= SIZE + 1e-6 for place in places)
    assert len(places) <= 7


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=20))
def test_a_positive_axis_has_room_for_its_values_and_a_few_ticks_in_order(values: list[float]) -> None:
    axis = positive_axis("", values, wording.count)
    assert axis.low > 0 or not axis.logarithmic
    assert all(-1e-6 <= axis.place(value) <= SIZE + 1e-6 for value in values)
    places = [axis.place(value) for value, _ in axis.ticks]
    assert places == sorted(places)
    assert len(places) <= 7


def test_what_is_of_different_orders_of_magnitude_is_drawn_by_ratio() -> None:
    assert not positive_axis("", [100.0, 500.0], wording.count).logarithmic
    axis = positive_axis("", [100.0, 10_000.0], wording.count)
    assert axis.logarithmic
    assert [label for _, label in axis.ticks] == ["100", "300", "1k", "3k", "10k"]


@pytest.mark.parametrize(("seconds", "unit"), [(5, "seconds"), (400, "minutes"), (40_000, "hours"), (1e6, "days")])
def test_times_have_a_unit_that_fits(seconds: float, unit: str) -> None:
    assert time_unit(seconds)[0] == unit


@given(st.integers(0, 5000), st.integers(2, 200), st.sets(st.integers(0, 4999), max_size=20))
def test_of_many_points_a_spread_is_kept_with_the_first_the_last_and_the_wanted(
    count: int, limit: int, wanted: set[int]
) -> None:
    keep = {index for index in wanted if index < count}
    chosen = thinned(count, limit, keep)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= limit + len(keep)
    assert keep <= set(chosen)
    if count:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
    gaps = [b - a for a, b in pairwise(chosen)]
    assert max(gaps, default=1) <= max(1, math.ceil(count / (limit - 1)))
