"""What the workers did: how many of each pool trained when, for how long, and what came of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from nas_controller.journal.journal import LeaseSpan
from numpy.typing import NDArray

from nas_cli import wording
from nas_cli.reporting.axes import linear_axis, time_unit
from nas_cli.reporting.chart import Chart, Point, Series

_BINS = 120
STYLES = 8
"""Different colours of pools."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What the workers of a pool did, all times in seconds.

    Attributes:
        pool: its name; empty where leases name none.
        workers: that have trained; on a cluster a pod that is replaced counts anew.
        trainings: leases, which includes those without a result.
        without_result: of them those that were lost, had expired or were given back.
        busy: for how long its workers held a lease, all of them together.
        fruitless: the part of `busy` that came to no result.
        device: for how long its trainings with a result took, each on one device.
    """

    pool: str
    workers: int
    trainings: int
    without_result: int
    busy: float
    fruitless: float
    device: float


def last_known(leases: Sequence[LeaseSpan]) -> float:
    """The latest time that the leases tell of: until then those that are held have been held for certain."""
    return max(max(span.granted_at, span.ended_at or 0.0) for span in leases)


def pool_uses(leases: Sequence[LeaseSpan]) -> list[PoolUse]:
    """What the workers of each pool did, by name."""
    spans: dict[str, list[LeaseSpan]] = defaultdict(list)
    for span in leases:
        spans[span.pool].append(span)
    end = last_known(leases) if leases else 0.0
    return [_use(pool, spans[pool], end) for pool in sorted(spans)]


def _use(pool: str, spans: Sequence[LeaseSpan], end: float) -> PoolUse:
    unfruitful = [span for span in spans if span.ended not in ("", "Finished")]
    return PoolUse(
        pool,
        workers=len({span.worker for span in spans}),
        trainings=len(spans),
        without_result=len(unfruitful),
        busy=sum(_length(span, end) for span in spans),
        fruitless=sum(_length(span, end) for span in unfruitful),
        device=sum(span.device_seconds for span in spans),
    )


def _length(span: LeaseSpan, end: float) -> float:
    return max(0.0, (end if span.ended_at is None else span.ended_at) - span.granted_at)


def busy_workers(leases: Sequence[LeaseSpan]) -> tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]:
    """How many workers of each pool trained, in the mean over each of some equal stretches of time.

    Returns:
        The bounds of the stretches in Unix seconds, shape [stretches + 1], and for each pool by name an array of shape
        [stretches].
    """
    begin, end = min(span.granted_at for span in leases), last_known(leases)
    edges = np.linspace(begin, max(end, begin + 1.0), _BINS + 1)
    width = edges[1] - edges[0]
    busy: dict[str, NDArray[np.float64]] = {}
    for pool in sorted({span.pool for span in leases}):
        spans = [span for span in leases if span.pool == pool]
        granted = np.array([span.granted_at for span in spans])
        ended = granted + [_length(span, end) for span in spans]
        # Seconds that were spent before each bound; their growth is what was spent in between.
        spent = _seconds_since(granted, edges) - _seconds_since(ended, edges)
        busy[pool] = np.maximum(np.diff(spent) / width, 0.0)
    return edges, busy


def _seconds_since(times: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each bound, the seconds between it and the `times` before it, in the sum."""
    ordered = np.sort(times)
    count = np.searchsorted(ordered, bounds)
    sums = np.concatenate([[0.0], np.cumsum(ordered - ordered[0])])
    return count * (bounds - ordered[0]) - sums[count]  # type: ignore[no-any-return]


def pool_chart(leases: Sequence[LeaseSpan]) -> Chart | None:
    """The workers of each pool that trained, over time. None: none has trained."""
    if not leases:
        return None
    edges, busy = busy_workers(leases)
    unit, seconds = time_unit(float(edges[-1] - edges[0]))
    times = ((edges - edges[0]) / seconds).tolist()
    series, tips = [], []
    for index, (pool, values) in enumerate(busy.items()):
        name = pool or "workers"
        heights = values.tolist()
        series.append(
            Series(name, f"pool{index % STYLES}", "step", list(zip(times, [*heights, heights[-1]], strict=True)))
        )
        tips += [
            Point((a + b) / 2, height, f"{name}: {height:.1f} busy after {a:.1f} {unit}")
            for a, b, height in zip(times, times[1:], heights, strict=False)
        ]
    busiest = max(busy, key=lambda pool: float(busy[pool].max()))
    most = float(busy[busiest].max())
    stretch = wording.duration(float(edges[1] - edges[0]))
    return Chart(
        "pools",
        "Workers that trained",
        f"Those that held an architecture, in the mean over {stretch} each; at most {most:.1f} "
        + (f"of {busiest} at once." if busiest else "at once."),
        linear_axis(f"{unit} since the first training began", 0, times[-1], margin=False),
        linear_axis("workers", 0, max(1.0, most) * 1.06, margin=False, integer=True),
        series,
        sorted(tips),
    )
