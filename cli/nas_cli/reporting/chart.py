"""`Chart`: points and lines on two axes, as the page draws them.

A plot is an SVG of 1000 by 1000 units that is stretched to whatever room there is, on a phone or on paper. Strokes are
not stretched with it, and a dot is a stroke of no length with round ends. All that is text is HTML beside it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

SIZE = 1000
"""Units of a plot in each direction."""
DOTS = 1500
"""Trials that a chart shows at most: more could not be told apart, and would make the page large."""
MANY = 400
"""Dots from which on they are smaller."""
LINE_POINTS = 500
"""Points of a line, about."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot.

    Attributes:
        title: what it measures, with its unit.
        low: the value at its beginning.
        high: the value at its end, greater than `low`.
        ticks: values with their labels, ascending.
        logarithmic: whether equal distances are equal ratios.
    """

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value is, in units from the beginning; outside of [0, SIZE] for one that is off the axis."""
        if self.logarithmic:
            return SIZE * math.log(value / self.low) / math.log(self.high / self.low)
        return SIZE * (value - self.low) / (self.high - self.low)

    def place_within(self, value: float) -> float:
        """Where a value is, or the nearer end for one that is off the axis."""
        return min(max(self.place(max(value, self.low)), 0.0), float(SIZE))


class Point(NamedTuple):
    """A point of a plot with words about it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """What belongs together in a plot.

    Attributes:
        label: its name in the legend.
        style: a class of the page's style sheet.
        kind: a line through the points, one that keeps its height until the next point, or dots alone.
        points: pairs of x and y. Dots that are off the axes are drawn at their edge.
    """

    label: str
    style: str
    kind: Literal["line", "step", "dots"]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot with all that is said about it.

    Attributes:
        key: its id on the page.
        title: its heading.
        description: what it shows, in a sentence, for whoever does not see it.
        x: the axis to the right.
        y: the axis upwards.
        series: from the undermost to the topmost.
        tips: points that tell of themselves when they are pointed at, by ascending x.
    """

    key: str
    title: str
    description: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    tips: Sequence[Point] = field(default=())

    def path(self, series: Series) -> str:
        """The data of an SVG path."""
        if series.kind == "dots":
            return "".join(
                f"M{self.x.place_within(x):.0f} {SIZE - self.y.place_within(y):.0f}h0" for x, y in series.points
            )
        path: list[str] = []
        for x, y in series.points:
            right, down = f"{self.x.place(x):.1f}", f"{SIZE - self.y.place(y):.1f}"
            if not path:
                path.append(f"M{right} {down}")
            elif series.kind == "step":
                path.append(f"H{right}V{down}")
            else:
                path.append(f"L{right} {down}")
        return "".join(path)

    def placed_tips(self) -> list[tuple[int, int, str]]:
        """The points that tell of themselves: units from the left and from above, and the words."""
        return [(round(self.x.place_within(x)), SIZE - round(self.y.place_within(y)), text) for x, y, text in self.tips]


def thinned(count: int, limit: int, keep: Iterable[int] = ()) -> list[int]:
    """About `limit` of the indices 0 to `count` - 1, evenly spread, the last and those of `keep` among them."""
    if count <= limit:
        return list(range(count))
    spread = {index * (count - 1) // (limit - 1) for index in range(limit)}
    return sorted(spread.union(keep))
