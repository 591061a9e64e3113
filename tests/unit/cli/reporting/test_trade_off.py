"""Pareto fronts: who is on them, and how they are drawn."""

from hypothesis import given
from hypothesis import strategies as st
from nas_cli.reporting.trade_off import parameters, pareto_front, trade_off_charts
from nas_controller.journal.journal import TrialRecord, TrialState

from .records import trial


def beats(a: TrialRecord, b: TrialRecord) -> bool:
    """Whether `a` is as good as `b` in both, and better in one."""
    ours, theirs = (a.reward or 0.0, -parameters(a)), (b.reward or 0.0, -parameters(b))
    return ours[0] >= theirs[0] and ours[1] >= theirs[1] and ours != theirs


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.7, 0.9]), st.integers(1, 6)), min_size=1, max_size=30))
def test_the_front_has_those_that_no_other_beats_each_kind_once(values: list[tuple[float, int]]) -> None:
    records = [trial(number, reward, parameters=size) for number, (reward, size) in enumerate(values, 1)]
    front = pareto_front(records, parameters)

    unbeaten = [a for a in records if not any(beats(b, a) for b in records)]
    assert {(r.reward, parameters(r)) for r in front} == {(r.reward, parameters(r)) for r in unbeaten}
    assert len({(r.reward, parameters(r)) for r in front}) == len(front)
    first = {(r.reward, parameters(r)): r for r in reversed(records)}
    assert all(first[r.reward, parameters(r)] is r for r in front)
    assert [parameters(r) for r in front] == sorted(parameters(r) for r in front)


def test_only_what_was_trained_to_its_end_is_compared() -> None:
    records = [
        trial(1, 0.5),
        trial(2, 0.9, state=TrialState.STOPPED_EARLY),
        trial(3, 0.9, replay_of=1),
        trial(4, None, parameters=1),
    ]
    chart, _ = trade_off_charts(records)
    assert [tip.text.partition(":")[0] for tip in chart.tips] == ["trial 1"]
    assert "Of 1 trial, 1 on the Pareto front: 1k with reward 0.5000." in chart.description


def test_parameters_that_are_not_known_are_not_drawn() -> None:
    assert [chart.key for chart in trade_off_charts([trial(1, 0.5, parameters=0)])] == ["seconds"]
    assert trade_off_charts([]) == []


def test_the_front_goes_on_to_the_end_as_long_as_nothing_is_better() -> None:
    records = [trial(1, 0.5, parameters=100), trial(2, 0.9, parameters=200), trial(3, 0.7, parameters=300)]
    chart, _ = trade_off_charts(records)
    line = next(series for series in chart.series if series.style == "front-line")
    assert line.points == [(100.0, 0.5), (200.0, 0.9), (chart.x.high, 0.9)]


def test_training_times_are_in_a_unit_that_fits() -> None:
    _, chart = trade_off_charts([trial(1, 0.5, seconds=1800.0), trial(2, 0.6, seconds=3600.0)])
    assert chart.x.title == "training time, minutes"
    assert [tip.x for tip in chart.tips] == [30.0, 60.0]


def test_of_many_trials_all_of_the_front_are_drawn() -> None:
    records = [trial(n, 0.5 + (n % 1000) / 10_000, parameters=1 + n * 7919 % 10_007) for n in range(1, 12_801)]
    front = {record.sampled.trial for record in pareto_front(records, parameters)}
    chart, _ = trade_off_charts(records)
    drawn = {int(tip.text.split(":")[0].removeprefix("trial ")) for tip in chart.tips}
    assert front <= drawn
    assert len(drawn) < 1600
