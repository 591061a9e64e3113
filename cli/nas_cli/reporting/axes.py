"""Makes axes that fit their values."""

import math
from collections.abc import Callable, Sequence

from matplotlib.ticker import LogLocator, MaxNLocator

from nas_cli.reporting.chart import Axis

_TICKS = 5
_MARGIN = 0.06  # of the range, so that no dot is cut
_LOGARITHMIC = 8.0  # ratio of the greatest to the least value from which on it is


def linear_axis(
    title: str, low: float, high: float, *, margin: bool = True, integer: bool = False, write: str = "{:.6g}"
) -> Axis:
    """An axis from `low` to `high`, with room beyond them if `margin`."""
    if high <= low:
        half = 0.5 if integer else 0.05 * abs(low) or 0.5
        low, high = low - half, high + half
    elif margin:
        room = _MARGIN * (high - low)
        low, high = low - room, high + room
    values = MaxNLocator(_TICKS, integer=integer, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = tuple((float(v), write.format(round(v, 12) + 0.0)) for v in values if low <= v <= high)
    return Axis(title, low, high, ticks)


def positive_axis(title: str, values: Sequence[float], write: Callable[[float], str]) -> Axis:
    """An axis of positive `values`, logarithmic where they are of different orders of magnitude."""
    least, greatest = min(values), max(values)
    if greatest < _LOGARITHMIC * least:
        axis = linear_axis(title, least, greatest)
        return Axis(title, axis.low, axis.high, tuple((value, write(value)) for value, _ in axis.ticks))
    room = (greatest / least) ** _MARGIN
    low, high = least / room, greatest * room
    found: list[float] = []
    for subs in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [float(v) for v in LogLocator(subs=subs, numticks=99).tick_values(low, high) if low <= v <= high]
        if len(found) <= _TICKS + 1:
            break
    found = found[:: math.ceil(len(found) / _TICKS)] if len(found) > _TICKS + 1 else found
    return Axis(title, low, high, tuple((value, write(value)) for value in found), logarithmic=True)


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which so long a time is best told, and its seconds."""
    for name, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 3 * length:
            return name, length
    return "seconds", 1.0
