"""`Series`: what a trial has measured, in bounded memory, however often its task reports."""

from collections import deque
from dataclasses import dataclass

from nas_api.spec import Reward

# Of one trial, in the journal.
MAX_POINTS = 10_000
_MIN_EXACT, _MAX_EXACT = 1_000, 9_000


@dataclass(frozen=True, slots=True)
class Point:
    """One `report(step, **metrics)`, `seconds` after the trial began."""

    step: int
    metrics: dict[str, float]
    seconds: float


class Thinned:
    """The last points exactly, and an even selection of those before, the first among them."""

    def __init__(self, exact: int, older: int) -> None:
        """Starts empty.

        Args:
            exact: how many of the last points are all kept.
            older: how many of those before are kept at most.
        """
        self._recent: deque[tuple[int, Point]] = deque()
        self._exact = exact
        self._older: list[tuple[int, Point]] = []
        self._max_older = older
        self._stride = 1
        self._dropped_out = 0

    def add(self, index: int, point: Point) -> None:
        """Adds a point. `index` orders the points of several selections."""
        self._recent.append((index, point))
        if len(self._recent) <= self._exact:
            return
        oldest = self._recent.popleft()
        if self._dropped_out % self._stride == 0:
            self._older.append(oldest)
        self._dropped_out += 1
        while len(self._older) > self._max_older:
            self._older = self._older[::2]
            self._stride *= 2

    def points(self) -> list[tuple[int, Point]]:
        """The points with their indices, in order."""
        return [*self._older, *self._recent]


class Series:
    """All that one trial has reported.

    The reward must not change by thinning: the last `spec.reward.window` values of its metric (up to 9,000) are kept,
    and so are its largest and smallest, for a reward over all of them. The mean over more is that of a selection.
    """

    def __init__(self, reward: Reward) -> None:
        """Starts empty. `reward`: `spec.reward` of the manifest."""
        exact = min(max(reward.window or 0, _MIN_EXACT), _MAX_EXACT)
        self._metric = reward.metric
        self._window = reward.window
        # A task may report its loss at every step, and the metric of the reward once an epoch.
        others = (MAX_POINTS - exact) // 3
        self._rewarded = Thinned(exact, MAX_POINTS - exact - 2 * others - 2)
        self._others = Thinned(others, others)
        self._extremes: dict[str, tuple[int, Point]] = {}
        self._unsent = Thinned(1, 98)
        self.count = 0
        self.last: Point | None = None

    def add(self, point: Point) -> None:
        """Adds what the task has just reported."""
        index = self.count
        self.count += 1
        self.last = point
        self._unsent.add(index, point)
        if self._metric not in point.metrics:
            self._others.add(index, point)
            return
        self._rewarded.add(index, point)
        value = point.metrics[self._metric]
        for name, sign in (("largest", 1), ("smallest", -1)):
            if name not in self._extremes or sign * value > sign * self._extremes[name][1].metrics[self._metric]:
                self._extremes[name] = (index, point)

    def take_unsent(self) -> list[Point]:
        """What was added since the last call, at most 100 points, the newest among them."""
        unsent, self._unsent = self._unsent, Thinned(1, 98)
        return [point for _, point in unsent.points()]

    def whole(self, limit: int | None = None) -> list[Point]:
        """The series in order: at most 10,000 points.

        Args:
            limit: thin it to so many points, but keep those that the reward needs.
        """
        rewarded = self._rewarded.points()
        points = dict([*rewarded, *self._others.points(), *self._extremes.values()])
        if limit is not None and len(points) > limit:
            needed = dict([*(rewarded[-self._window :] if self._window else []), *self._extremes.values()])
            rest = sorted(points.keys() - needed.keys())
            every = -(-len(rest) // max(1, limit - len(needed)))
            points = {index: points[index] for index in (*needed, *rest[::every])}
        return [points[index] for index in sorted(points)]
