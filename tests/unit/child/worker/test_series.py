"""What is kept of a trial's measurements."""

import itertools

import hypothesis.strategies as st
from hypothesis import given, settings
from nas_api.spec import Reward
from nas_child.series import MAX_POINTS, Point, Series


def series_of(steps: int, reward: Reward, reward_every: int = 1) -> Series:
    """A series in which every so manyth point has the metric of the reward, a zigzag."""
    series = Series(reward)
    for step in range(steps):
        metrics = {"loss": 1.0}
        if step % reward_every == 0:
            metrics[reward.metric] = float(step * 7919 % 1000)
        series.add(Point(step, metrics, step / 10))
    return series


def values(points: list[Point], metric: str) -> list[float]:
    return [point.metrics[metric] for point in points if metric in point.metrics]


def test_a_short_series_is_kept_whole() -> None:
    steps = [point.step for point in series_of(1000, Reward()).whole()]
    assert steps == list(range(1000))


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 40_000),
    window=st.integers(1, 9_000),
    reward_every=st.integers(1, 50),
)
def test_a_series_is_bounded_in_order_and_exact_where_the_reward_needs_it(
    steps: int, window: int, reward_every: int
) -> None:
    reward = Reward(metric="score", window=window)
    points = series_of(steps, reward, reward_every).whole()
    assert len(points) <= MAX_POINTS
    kept = [point.step for point in points]
    assert kept == sorted(set(kept))
    assert kept[-1] == steps - 1
    every = [float(step * 7919 % 1000) for step in range(0, steps, reward_every)]
    exact = max(window, 1000)
    assert values(points, "score")[-min(exact, len(every)) :] == every[-exact:]


def test_what_is_thinned_is_thinned_evenly() -> None:
    points = series_of(100_000, Reward(metric="score", window=5)).whole()
    steps = [point.step for point in points if point.step < 99_000]
    gaps = {later - earlier for earlier, later in itertools.pairwise(steps)}
    extremes = 2  # lie anywhere
    assert len(gaps) <= 1 + 2 * extremes
    assert steps[0] == 0
    assert len(steps) > 1000


def test_the_largest_and_the_smallest_value_survive_for_a_reward_over_all() -> None:
    series = Series(Reward.model_validate({"metric": "score", "window": "all"}))
    for step in range(50_000):
        value = {12_345: 1000.0, 23_456: -1000.0}.get(step, 1.0)
        series.add(Point(step, {"score": value}, 0.0))
    for points in (series.whole(), series.whole(100)):
        assert max(values(points, "score")) == 1000
        assert min(values(points, "score")) == -1000


@given(limit=st.integers(1, 3000), window=st.integers(1, 500))
@settings(max_examples=25, deadline=None)
def test_made_smaller_still_a_series_keeps_what_the_reward_needs(limit: int, window: int) -> None:
    reward = Reward(metric="score", window=window)
    series = series_of(5000, reward, reward_every=3)
    points = series.whole(limit)
    assert len(points) <= max(limit, window + 2) + 1
    assert values(points, "score")[-window:] == values(series.whole(), "score")[-window:]


@given(batches=st.lists(st.integers(0, 1000), max_size=10))
def test_what_was_not_sent_is_at_most_100_points_the_newest_among_them(batches: list[int]) -> None:
    series = Series(Reward())
    step = 0
    for size in batches:
        for _ in range(size):
            step += 1
            series.add(Point(step, {"loss": 1.0}, 0.0))
        unsent = [point.step for point in series.take_unsent()]
        assert len(unsent) <= 100
        assert unsent == sorted(unsent)
        if size:
            assert unsent[-1] == step
            assert unsent[0] == step - size + 1
        if size <= 98:
            assert len(unsent) == size
