"""The charts of the policy, update by update: how undecided it is, and what it compares rewards with."""

from collections.abc import Sequence

from nas_controller.journal.journal import UpdateRecord

from nas_cli.reporting.axes import linear_axis
from nas_cli.reporting.chart import LINE_POINTS, Chart, Point, Series, thinned

Values = Sequence[tuple[int, float]]
"""Versions of the policy, each with a value of the update that made it."""


def policy_charts(updates: Sequence[UpdateRecord]) -> list[Chart]:
    """Entropy and baseline against updates; none of an algorithm without a policy."""
    charts = []
    if entropy := [(update.version, update.entropy) for update in updates if update.entropy is not None]:
        lines: list[tuple[str, str, Values]] = [("entropy", "entropy", entropy)]
        about = "How undecided the policy was at each update."
        charts.append(_chart("entropy", "Entropy of the policy", "nats a decision", lines, about))
    if baseline := [(update.version, update.baseline) for update in updates if update.baseline is not None]:
        means = [(update.version, update.mean_reward) for update in updates]
        lines = [("mean reward of the batch", "batch", means), ("baseline", "baseline", baseline)]
        charts.append(_chart("baseline", "Baseline", "reward", lines, "What the policy compared rewards with."))
    return charts


def _chart(key: str, title: str, unit: str, lines: Sequence[tuple[str, str, Values]], about: str) -> Chart:
    """A chart of lines, given as label, style and values: the last of them tells of itself."""
    values = [y for _, _, points in lines for _, y in points]
    name, _, told = lines[-1]
    return Chart(
        key,
        title,
        f"{about} It began at {told[0][1]:.4g} and is {told[-1][1]:.4g} after update {told[-1][0]}.",
        linear_axis("updates", 0, told[-1][0], margin=False, integer=True),
        linear_axis(unit, min(values), max(values)),
        [Series(label, style, "line", _thinned(points)) for label, style, points in lines],
        [Point(version, value, f"update {version}: {name} {value:.4f}") for version, value in _thinned(told)],
    )


def _thinned(points: Values) -> Values:
    return [points[index] for index in thinned(len(points), LINE_POINTS)]
