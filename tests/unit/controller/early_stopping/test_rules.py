"""The rules of early stopping: which trials they stop, and which never."""

import random

import pytest
from nas_api.spec import ASHA, CurveExtrapolation, MedianStopping
from nas_controller.early_stopping.asha import ASHARule
from nas_controller.early_stopping.curve import Completed, Curve
from nas_controller.early_stopping.extrapolation import CurveExtrapolationRule, extrapolate
from nas_controller.early_stopping.median import MedianRule
from nas_controller.early_stopping.rule import StoppingRule
from nas_controller.journal.journal import ReportedPoint


def curve(*rewards: float) -> Curve:
    """A curve with these rewards at the steps 1, 2, ..."""
    return Curve.of(ReportedPoint(step, reward) for step, reward in enumerate(rewards, start=1))


def completed(*curves: Curve) -> list[Completed]:
    return [Completed(number, each, each.best[-1]) for number, each in enumerate(curves, start=1000)]


def play(rule: StoppingRule, curves: list[list[float]], together: int = 1) -> tuple[int, list[bool]]:
    """Trains trials with these curves, so many at once. Returns the steps trained, and which were stopped."""
    steps, stopped, done = 0, [False] * len(curves), []
    for start in range(0, len(curves), together):
        open_trials = {n: Curve() for n in range(start, min(start + together, len(curves)))}
        for step in range(1, len(curves[0]) + 1):
            for number, known in list(open_trials.items()):
                known.add(ReportedPoint(step, curves[number][step - 1]))
                steps += 1
                if rule.stops(number, known, step - 1, done):
                    stopped[number] = True
                    del open_trials[number]
        done += [Completed(number, known, known.best[-1]) for number, known in open_trials.items()]
    return steps, stopped


def saturating(finals: list[float], steps: int = 27, noise: float = 0.0, seed: int = 0) -> list[list[float]]:
    """Curves that rise to these values, the better ones no faster than the others."""
    generator = random.Random(seed)
    return [[final * (1 - 0.6 / s) + generator.gauss(0, noise) for s in range(1, steps + 1)] for final in finals]


# The curve. -----------------------------------------------------------------------------------------------------------


def test_a_curve_knows_the_best_and_the_mean_up_to_each_step() -> None:
    known = curve(0.2, 0.6, 0.4)
    assert [known.best_by(step) for step in (0, 1, 2, 3, 9)] == [None, 0.2, 0.6, 0.6, 0.6]
    assert known.mean_by(3) == pytest.approx(0.4)


def test_a_report_that_is_repeated_adds_nothing() -> None:
    known = curve(0.2, 0.6)
    assert not known.add(ReportedPoint(2, 0.9))
    assert known.best == [0.2, 0.6]


def test_a_long_curve_is_thinned_and_keeps_its_last_point_and_its_values() -> None:
    known = curve(*(step / 1000 for step in range(1, 1001)))
    assert len(known.steps) <= 256
    assert (known.last_step, known.best[-1]) == (1000, 1.0)
    assert known.mean[-1] == pytest.approx(0.5005)


# The median rule. -----------------------------------------------------------------------------------------------------


def test_the_median_rule_stops_what_is_below_the_median_of_the_averages_at_the_same_step() -> None:
    rule = MedianRule(MedianStopping(min_trials=3, warmup_steps=1))
    others = completed(
        curve(0.1, 0.3, 0.9), curve(0.3, 0.5, 0.9), curve(0.5, 0.7, 0.9)
    )  # averages .2, .4, .6 by step 2
    assert rule.stops(1, curve(0.1, 0.39), 1, others)
    assert not rule.stops(1, curve(0.1, 0.4), 1, others)
    assert not rule.stops(1, curve(0.45, 0.1), 1, others), "the best so far counts"


def test_the_median_rule_waits_for_completed_trials_and_for_the_warmup() -> None:
    others = completed(*[curve(0.5, 0.5, 0.5)] * 3)
    assert not MedianRule(MedianStopping(min_trials=4, warmup_steps=1)).stops(1, curve(0.1), 0, others)
    warm = MedianRule(MedianStopping(min_trials=3, warmup_steps=2))
    assert not warm.stops(1, curve(0.1), 0, others)
    assert warm.stops(1, curve(0.1, 0.1), 1, others)


# ASHA. ----------------------------------------------------------------------------------------------------------------


def test_asha_lets_the_best_third_of_all_that_reached_a_rung_go_on() -> None:
    rule = ASHARule(ASHA(min_steps=1, reduction_factor=3))
    for number, reward in enumerate([0.5, 0.1]):
        assert not rule.stops(number, curve(reward), 0, []), "too few to compare with"
    assert rule.stops(2, curve(0.4), 0, [])
    assert not rule.stops(3, curve(0.6), 0, [])
    assert not rule.stops(4, curve(0.55), 0, []), "second of five"
    assert rule.stops(5, curve(0.54), 0, []), "third of six"


def test_asha_judges_at_rungs_alone_and_at_each_that_a_report_has_passed() -> None:
    rule = ASHARule(ASHA(min_steps=2, reduction_factor=2))
    for number in range(3):
        assert not rule.stops(number, curve(0.9, 0.9, 0.9, 0.9), 0, [])
    low = curve(0.1)
    assert not rule.stops(9, low, 0, [])
    low = curve(0.1, 0.1, 0.95)
    assert rule.stops(9, low, 1, []), "a report of several steps is judged by what had been reached at the rung"
    assert not rule.stops(10, curve(0.1, 0.1, 0.1), 2, []), "step 3 is no rung"


def test_asha_forgets_what_an_earlier_attempt_had_shown() -> None:
    rule = ASHARule(ASHA(min_steps=1, reduction_factor=2))
    rule.stops(1, curve(0.9), 0, [])
    rule.forget(1)
    assert not rule.stops(2, curve(0.1), 0, []), "alone on the rung"


def test_asha_trains_the_best_to_its_end_and_saves_most_steps() -> None:
    generator = random.Random(1)
    finals = [generator.random() for _ in range(81)]
    steps, stopped = play(ASHARule(ASHA()), saturating(finals))
    assert not stopped[finals.index(max(finals))]
    assert steps < 0.4 * 81 * 27


# Extrapolation. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0, 2.0])
def test_a_power_law_is_extrapolated_exactly(exponent: float) -> None:
    steps = list(range(1, 9))
    assert extrapolate(steps, [0.9 - 0.5 * s**-exponent for s in steps], 50) == pytest.approx(0.9 - 0.5 * 50**-exponent)


@pytest.mark.parametrize("points", [1, 2, 3, 20])
def test_a_flat_curve_stays_flat(points: int) -> None:
    assert extrapolate(list(range(1, points + 1)), [0.4] * points, 100) == pytest.approx(0.4)


def test_an_extrapolation_never_falls_below_what_was_reached() -> None:
    assert extrapolate([1, 2, 3, 4], [0.1, 0.8, 0.8, 0.8], 40) >= 0.8


def test_few_completed_trials_say_too_little_to_stop_any() -> None:
    rule = CurveExtrapolationRule(CurveExtrapolation(threshold=0.05))
    good = saturating([0.9])[0]
    hopeless = curve(0.01, 0.01, 0.01, 0.01)
    assert not rule.stops(1, hopeless, 3, completed(*[curve(*good)] * 19))
    assert rule.stops(1, hopeless, 3, completed(*[curve(*good)] * 20))


def test_what_will_beat_the_best_is_not_stopped_and_what_will_not_is() -> None:
    rule = CurveExtrapolationRule(CurveExtrapolation())
    others = completed(*(curve(*each) for each in saturating([0.3 + 0.02 * n for n in range(20)], noise=0.005)))
    assert not rule.stops(1, curve(*saturating([0.95])[0][:6]), 5, others)
    assert rule.stops(1, curve(*saturating([0.4])[0][:6]), 5, others)


def test_against_the_median_less_is_stopped_than_against_the_best() -> None:
    others = completed(*(curve(*each) for each in saturating([0.3 + 0.02 * n for n in range(20)], noise=0.005)))
    middling = curve(*saturating([0.6])[0][:6])
    assert CurveExtrapolationRule(CurveExtrapolation(beat="Best")).stops(1, middling, 5, others)
    assert not CurveExtrapolationRule(CurveExtrapolation(beat="Median")).stops(1, middling, 5, others)


# What no rule may do. -------------------------------------------------------------------------------------------------

RULES = {
    "median": lambda: MedianRule(MedianStopping()),
    "asha": lambda: ASHARule(ASHA()),
    "extrapolation": lambda: CurveExtrapolationRule(CurveExtrapolation()),
}


@pytest.mark.parametrize("name", RULES)
def test_where_all_rewards_are_equal_no_rule_stops_anything(name: str) -> None:
    _, stopped = play(RULES[name](), [[0.5] * 9] * 40)
    assert not any(stopped)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("together", [1, 16])
def test_a_rule_finds_one_of_the_best_trials_in_fewer_steps(name: str, together: int) -> None:
    generator = random.Random(3)
    finals = [generator.random() for _ in range(80)]
    steps, stopped = play(RULES[name](), saturating(finals, noise=0.01, seed=4), together)
    kept = [final for final, was_stopped in zip(finals, stopped, strict=True) if not was_stopped]
    assert max(kept) >= sorted(finals)[-4]
    assert steps < 0.85 * 80 * 27
