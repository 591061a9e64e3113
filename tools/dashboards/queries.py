"""PromQL that more than one dashboard has.

A restarted controller may come back as another instance, so everything is aggregated by `namespace` and `search`.
"""

SEARCHES = 'namespace=~"$namespace", search=~"$search"'
"""Selects the series of the searches that are chosen."""
POOLS = f'{SEARCHES}, pool=~"$pool"'
"""Selects the series of the pools that are chosen."""

FINISHED = 'state=~"succeeded|failed|stopped_early"'
"""Selects trials that have their result."""
PRESENT = 'state!="silent"'
"""Selects workers that are there."""
TRAINING = 'state=~"busy|draining"'
"""Selects workers that train: draining ones finish what they have."""


def summed(by: str) -> str:
    """Adds up what has the same labels; without any, everything."""
    return f"sum by ({by})" if by else "sum"


def per_hour(counter: str, by: str) -> str:
    """How often something happens in an hour."""
    return f"{summed(by)} (rate({counter}[$__rate_interval])) * 3600"


def mean(histogram: str, selector: str, by: str = "") -> str:
    """Mean of what a histogram has observed lately, where it has observed anything."""
    total, count = (
        f"{summed(by)} (rate({histogram}_{part}{{{selector}}}[$__rate_interval]))" for part in ("sum", "count")
    )
    return f"{total} / ({count} > 0)"


def quantile(share: float, histogram: str, selector: str, by: str = "") -> str:
    """A quantile of what a histogram has observed lately, where it has observed anything."""
    labels = f"{by}, le" if by else "le"
    lately = f"sum by ({labels}) (rate({histogram}_bucket{{{selector}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {lately}) >= 0"  # not NaN


def buckets(histogram: str, selector: str) -> str:
    """What a histogram has observed in each interval, for a heat map."""
    return f"sum by (le) (increase({histogram}_bucket{{{selector}}}[$__rate_interval]))"


def hours(workers: str, by: str = "") -> str:
    """Worker hours in the time range of the dashboard, from how many workers there are.

    A sum over time, not a mean of it: pools come and go.
    """
    return f"{summed(by)} (sum_over_time({workers}[$__range:$__interval])) * $__interval_ms / 3600000"
