"""The chart of a search's course: its rewards, trial by trial, beside those of its random twin."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from nas_controller.journal.journal import TrialRecord, TrialState, UpdateRecord

from nas_cli import wording
from nas_cli.comparing.progression import Progression, progression
from nas_cli.drawing.curve import MEAN_WINDOW, lowest_shown, moving_mean
from nas_cli.reporting.axes import linear_axis
from nas_cli.reporting.chart import DOTS, LINE_POINTS, MANY, Chart, Point, Series, thinned
from nas_cli.reporting.material import Twin

_TOP = "top15"  # the paper compares the mean of the 15 best


def search_chart(finished: Sequence[TrialRecord], updates: Sequence[UpdateRecord], twin: Twin | None) -> Chart:
    """The rewards of the trials, what was best and what was usual; of the random twin what was best.

    Args:
        finished: trials in the order in which they finished; at least one.
        updates: of the policy, in order.
        twin: the control.
    """
    ours = progression(finished)
    best = _steps(ours["best"])
    shown = thinned(len(finished), DOTS, keep=[int(x) - 1 for x, _ in best])
    series = _dots([(index + 1, finished[index]) for index in shown])
    if twin is not None:
        theirs = progression(twin.finished)
        series += [
            Series("random twin: mean of its 15 best", "twin-top", "line", _line(theirs[_TOP])),
            Series("random twin: best so far", "twin-best", "step", _steps(theirs["best"])),
        ]
    series += [
        _usual(finished, updates),
        Series("mean of the 15 best so far", "top", "line", _line(ours[_TOP])),
        Series("best so far", "best", "step", best),
    ]
    rewards = np.array([r.reward or 0.0 for r in finished if r.state is not TrialState.FAILED])
    low = lowest_shown(rewards)
    drawn = [y for each in series if each.kind != "dots" for _, y in each.points if y >= low]
    drawn += [reward for reward in rewards.tolist() if reward >= low]
    trials = max(len(finished), len(twin.finished) if twin else 0)
    return Chart(
        "course",
        "Rewards",
        f"Rewards of {wording.number(len(finished), 'trial')} in the order in which they finished. {_told(ours)}",
        linear_axis("trials finished", 0, max(trials + 1, 1.01 * trials), margin=False, integer=True),
        linear_axis("reward", min(drawn, default=0.0), max(drawn, default=1.0)),
        [each for each in series if each.points],
        [Point(index + 1, _height(finished[index]), wording.trial(finished[index])) for index in shown],
    )


def ahead_of_twin(finished: Sequence[TrialRecord], twin: Twin) -> str:
    """How far ahead of its random twin a search was, after as many trials as both have. Empty: none succeeded."""
    trials = min(len(finished), len(twin.finished))
    ours, theirs = progression(finished[:trials]), progression(twin.finished[:trials])
    values = [side[statistic][-1] for statistic in ("best", _TOP) for side in (ours, theirs)]
    if not np.isfinite(values).all():
        return ""
    best, best_theirs, top, top_theirs = values
    return (
        f"After {wording.number(trials, 'trial')} the mean reward of the 15 best architectures is {top:.4f}, of the "
        f"random twin's {top_theirs:.4f} ({top - top_theirs:+.4f}); the best has {best:.4f}, the twin's best "
        f"{best_theirs:.4f} ({best - best_theirs:+.4f})."
    )


def _dots(numbered: Sequence[tuple[int, TrialRecord]]) -> list[Series]:
    many = " many" if len(numbered) > MANY else ""
    return [
        Series(label, style + many, "dots", [(x, _height(record)) for x, record in numbered if record.state is state])
        for state, label, style in (
            (TrialState.FAILED, "failed trial", "failed"),
            (TrialState.STOPPED_EARLY, "trial stopped early", "stopped"),
            (TrialState.SUCCEEDED, "trial", "trial"),
        )
    ]


def _height(record: TrialRecord) -> float:
    """A failed trial is at the bottom, whatever its reward: that says nothing of its architecture."""
    return -np.inf if record.state is TrialState.FAILED else record.reward or 0.0


def _usual(finished: Sequence[TrialRecord], updates: Sequence[UpdateRecord]) -> Series:
    baseline = [(float(u.trials_finished), u.baseline) for u in updates if u.baseline is not None]
    if baseline:
        chosen = [baseline[index] for index in thinned(len(baseline), LINE_POINTS)]
        return Series("baseline (moving mean)", "baseline", "line", chosen)
    means = np.array(moving_mean([record.reward or 0.0 for record in finished]))
    return Series(f"mean of the last {MEAN_WINDOW}", "baseline", "line", _line(means))


def _line(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[tuple[float, float]]:
    points = [(float(i + 1), float(values[i])) for i in thinned(len(values), LINE_POINTS)]
    return [(x, y) for x, y in points if np.isfinite(y)]


def _steps(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[tuple[float, float]]:
    """The points at which the values change, and the last."""
    points = [(float(i + 1), float(value)) for i, value in enumerate(values) if np.isfinite(value)]
    if not points:
        return []
    changes = [points[0], *(b for a, b in pairwise(points) if a[1] != b[1] and b is not points[-1]), points[-1]]
    return [changes[index] for index in thinned(len(changes), LINE_POINTS)]


def _told(ours: Progression) -> str:
    best, top = ours["best"][-1], ours[_TOP][-1]
    if not np.isfinite(best):
        return "None has succeeded."
    return f"The best so far has {best:.4f}, the 15 best architectures have {top:.4f} in the mean."
