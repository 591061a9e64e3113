"""The chart of rewards and the charts of the policy."""

import math

import pytest
from nas_cli.reporting.chart import DOTS, LINE_POINTS, Chart, Series
from nas_cli.reporting.course import ahead_of_twin, search_chart
from nas_cli.reporting.material import Twin
from nas_cli.reporting.policy import policy_charts
from nas_controller.journal.journal import TrialState

from .records import trial, trials, update


def of(chart: Chart, label: str) -> Series:
    return next(series for series in chart.series if series.label == label)


def test_the_best_rises_in_steps_at_the_trials_that_beat_it() -> None:
    chart = search_chart(trials([0.3, 0.2, 0.5, 0.4, 0.5]), [], None)
    assert of(chart, "best so far").points == [(1.0, 0.3), (3.0, 0.5), (5.0, 0.5)]


def test_the_mean_is_of_the_best_fifteen_architectures() -> None:
    chart = search_chart(trials([n / 100 for n in range(1, 31)]), [], None)
    line = of(chart, "mean of the 15 best so far").points
    assert line[0] == (1.0, 0.01)
    assert line[-1] == (30.0, pytest.approx(sum(range(16, 31)) / 1500))


def test_the_baseline_is_where_the_trials_had_come_to_at_its_updates() -> None:
    chart = search_chart(trials([0.5] * 8), [update(1, baseline=0.2), update(2, baseline=0.3)], None)
    assert of(chart, "baseline (moving mean)").points == [(4.0, 0.2), (8.0, 0.3)]


def test_without_a_baseline_there_is_the_mean_of_the_last_trials() -> None:
    chart = search_chart(trials([0.2, 0.4]), [update(1, baseline=None)], None)
    assert of(chart, "mean of the last 50").points == [(1.0, 0.2), (2.0, pytest.approx(0.3))]


def test_trials_that_failed_or_were_stopped_are_told_apart() -> None:
    stopped = trial(3, 0.4, state=TrialState.STOPPED_EARLY)
    chart = search_chart([*trials([0.5, None]), stopped], [], None)
    assert of(chart, "trial").points == [(1, 0.5)]
    assert of(chart, "failed trial").points == [(2, -math.inf)]
    assert of(chart, "trial stopped early").points == [(3, 0.4)]
    assert chart.placed_tips()[1][1] == 1000  # at the bottom


def test_without_failures_the_legend_has_none() -> None:
    labels = [series.label for series in search_chart(trials([0.5]), [], None).series]
    assert "failed trial" not in labels
    assert not any("twin" in label for label in labels)


def test_the_random_twin_is_beside_the_search_and_may_be_longer() -> None:
    chart = search_chart(trials([0.5, 0.6]), [], Twin("digits-random", trials([0.1, 0.3, 0.2])))
    assert of(chart, "random twin: best so far").points == [(1.0, 0.1), (2.0, 0.3), (3.0, 0.3)]
    assert chart.x.place(3.0) <= 1000


def test_the_search_is_compared_with_its_twin_after_as_many_trials() -> None:
    told = ahead_of_twin(trials([0.5, 0.7, 0.99]), Twin("digits-random", trials([0.2, 0.4])))
    assert "After 2 trials" in told
    assert "0.6000, of the random twin's 0.3000 (+0.3000)" in told
    assert "the best has 0.7000, the twin's best 0.4000 (+0.3000)" in told
    assert ahead_of_twin(trials([None]), Twin("digits-random", trials([0.2]))) == ""


def test_a_trial_that_is_pointed_at_tells_of_itself() -> None:
    chart = search_chart([trial(1, 0.5, parameters=12_300, seconds=42.0), trial(2, None, reason="NaN")], [], None)
    assert [tip.text for tip in chart.tips] == ["trial 1: reward 0.5000, 12.3k parameters, 42s", "trial 2: failed, NaN"]


def test_hopeless_trials_do_not_flatten_the_curve_and_are_at_its_edge() -> None:
    chart = search_chart(trials([0.90, 0.92, 0.001, *[0.94, 0.96] * 20]), [], None)
    assert chart.y.place(0.001) < 0 < chart.y.place(0.94)
    assert chart.placed_tips()[2][1] == 1000


@pytest.mark.parametrize("rewards", [[0.5], [None], [None] * 30, [0.1, None], [-3.0, 5.0], [0.0] * 40])
def test_it_is_drawn_whatever_the_rewards_are(rewards: list[float | None]) -> None:
    chart = search_chart(trials(rewards), [], None)
    assert all("nan" not in chart.path(series) and "inf" not in chart.path(series) for series in chart.series)


@pytest.mark.parametrize("rewards", [[n / 20_000 for n in range(12_800)], [None] * 12_799 + [0.5]])
def test_a_long_search_is_drawn_with_a_bounded_number_of_points(rewards: list[float | None]) -> None:
    chart = search_chart(trials(rewards), [update(n) for n in range(1, 1601)], None)
    assert len(chart.tips) <= DOTS + LINE_POINTS
    assert all(len(series.points) <= DOTS + LINE_POINTS for series in chart.series)
    assert of(chart, "best so far").points[-1] == (12_800.0, rewards[-1])


def test_entropy_and_baseline_are_against_updates() -> None:
    entropy, baseline = policy_charts([update(1, entropy=1.2, baseline=0.1), update(2, entropy=0.8, baseline=0.2)])
    assert of(entropy, "entropy").points == [(1, 1.2), (2, 0.8)]
    assert "began at 1.2 and is 0.8 after update 2" in entropy.description
    assert of(baseline, "baseline").points == [(1, 0.1), (2, 0.2)]
    assert of(baseline, "mean reward of the batch").points == [(1, 0.25), (2, 0.25)]


def test_what_an_algorithm_does_not_have_is_not_drawn() -> None:
    assert policy_charts([]) == []
    assert policy_charts([update(1, entropy=None, baseline=None)]) == []
    assert [chart.key for chart in policy_charts([update(1, baseline=None)])] == ["entropy"]
