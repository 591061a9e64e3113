"""`Curve`: how good a trial was after each step of its training."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nas_api.spec import Reward

from nas_controller.journal.journal import Measurement, ReportedPoint
from nas_controller.reward import NoRewardError, compute_reward

# A longer curve is thinned: the rules look at it at a few steps only.
_MOST_POINTS = 256


@dataclass(slots=True)
class Curve:
    """The learning curve of one trial, in rewards: what each measurement alone would have earned.

    Attributes:
        steps: ascending, as the task counts them: epochs, usually.
        best: the highest reward up to each step.
        mean: the mean of the rewards up to each step.
    """

    steps: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    _count: int = 0
    _total: float = 0.0

    @classmethod
    def of(cls, points: Iterable[ReportedPoint]) -> "Curve":
        """The curve through `points`."""
        curve = cls()
        for point in points:
            curve.add(point)
        return curve

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def last_step(self) -> int:
        """The newest step; 0 if there is none."""
        return self.steps[-1] if self.steps else 0

    def add(self, point: ReportedPoint) -> bool:
        """Goes on to a later step. Whether it is one: a report that is repeated has nothing new."""
        if self.steps and point.step <= self.steps[-1]:
            return False
        self._count += 1
        self._total += point.reward
        self.steps.append(point.step)
        self.best.append(max(point.reward, self.best[-1]) if self.best else point.reward)
        self.mean.append(self._total / self._count)
        if len(self.steps) > _MOST_POINTS:
            for values in (self.steps, self.best, self.mean):
                del values[-2::-2]
        return True

    def best_by(self, step: int) -> float | None:
        """The highest reward up to `step`; None before the first."""
        index = bisect_right(self.steps, step)
        return self.best[index - 1] if index else None

    def mean_by(self, step: int) -> float | None:
        """The mean reward up to `step`; None before the first."""
        index = bisect_right(self.steps, step)
        return self.mean[index - 1] if index else None

    def until(self, step: int) -> tuple[list[int], list[float]]:
        """Steps and best rewards up to `step`."""
        index = bisect_right(self.steps, step)
        return self.steps[:index], self.best[:index]


@dataclass(frozen=True, slots=True)
class Completed:
    """A trial that was trained to its end, with its curve and the reward that it got."""

    trial: int
    curve: Curve
    reward: float


def points_of(measurements: Sequence[Measurement], spec: Reward) -> list[ReportedPoint]:
    """What each measurement alone would have earned, of those that have the metric of the reward, and a finite one."""
    points = []
    for measurement in measurements:
        try:
            points.append(ReportedPoint(measurement.step, compute_reward([measurement], spec)))
        except NoRewardError:
            continue
    return points
