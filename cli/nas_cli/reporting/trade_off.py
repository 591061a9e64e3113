"""What a higher reward costs: the Pareto front of reward against parameters, and against training time."""

from collections.abc import Callable, Sequence

from nas_controller.journal.journal import TrialRecord, TrialState

from nas_cli import wording
from nas_cli.reporting.axes import linear_axis, positive_axis, time_unit
from nas_cli.reporting.chart import DOTS, MANY, Axis, Chart, Point, Series, thinned

Cost = Callable[[TrialRecord], float]
"""What is to be low. Positive where it is known, else 0."""


def parameters(record: TrialRecord) -> float:
    """Of the network."""
    return float(record.sampled.parameters)


def train_seconds(record: TrialRecord) -> float:
    """That the trial took."""
    return record.train_seconds


def trade_off_charts(finished: Sequence[TrialRecord]) -> list[Chart]:
    """Reward against parameters and against training time, where they are known."""
    charts = []
    if known := candidates(finished, parameters):
        x = positive_axis("parameters", [parameters(record) for record in known], wording.count)
        charts.append(_chart("parameters", "Reward against parameters", known, parameters, wording.count, x))
    if known := candidates(finished, train_seconds):
        unit, length = time_unit(max(record.train_seconds for record in known))
        times = [record.train_seconds / length for record in known]
        x = positive_axis(f"training time, {unit}", times, "{:.6g}".format)
        charts.append(
            _chart("seconds", "Reward against training time", known, train_seconds, wording.duration, x, length)
        )
    return charts


def candidates(finished: Sequence[TrialRecord], cost: Cost) -> list[TrialRecord]:
    """The trials that are compared: those that were trained to their end and have a cost."""
    return [r for r in finished if r.state is TrialState.SUCCEEDED and r.replay_of is None and cost(r) > 0]


def pareto_front(records: Sequence[TrialRecord], cost: Cost) -> list[TrialRecord]:
    """Those that no other one beats in both, by ascending cost; of equal ones the one that finished first."""
    front: list[TrialRecord] = []
    for record in sorted(records, key=lambda r: (cost(r), -(r.reward or 0.0), r.sequence)):
        if not front or (record.reward or 0.0) > (front[-1].reward or 0.0):
            front.append(record)
    return front


def _chart(
    key: str,
    title: str,
    records: Sequence[TrialRecord],
    cost: Cost,
    write: Callable[[float], str],
    x: Axis,
    unit: float = 1.0,
) -> Chart:
    """The trials and their front, with the cost in so many of what it is measured in."""
    front = pareto_front(records, cost)
    numbers = {record.sampled.trial for record in front}
    keep = [index for index, record in enumerate(records) if record.sampled.trial in numbers]
    shown = [records[index] for index in thinned(len(records), DOTS, keep)]
    others = [(cost(r) / unit, r.reward or 0.0) for r in shown if r.sampled.trial not in numbers]
    ends = [(cost(r) / unit, r.reward or 0.0) for r in front]
    rewards = [record.reward or 0.0 for record in records]
    series = [
        Series("trial", "trial many" if len(others) > MANY else "trial", "dots", others),
        # Whoever allows a greater cost than that of the last has no better one to choose.
        Series("", "front-line", "step", [*ends, (x.high, ends[-1][1])]),
        Series("Pareto front: no other is better in both", "front", "dots", ends),
    ]
    first, last = (f"{write(cost(r))} with reward {r.reward:.4f}" for r in (front[0], front[-1]))
    return Chart(
        key,
        title,
        f"Of {wording.number(len(records), 'trial')}, {len(front)} on the Pareto front: {first}"
        + (f", to {last}." if len(front) > 1 else "."),
        x,
        linear_axis("reward", min(rewards), max(rewards)),
        [each for each in series if each.points],
        sorted(Point(cost(r) / unit, r.reward or 0.0, wording.trial(r)) for r in shown),
    )
