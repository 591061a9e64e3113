"""Means over searches with different seeds, and differences of such means, with confidence intervals of Student's t."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_GRID = 200_001


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval, each of shape [trials]. The bounds are NaN where one search is too few."""

    mean: Floats
    low: Floats
    high: Floats


def mean_interval(values: Floats, confidence: float) -> Interval:
    """The mean over searches, `values` of shape [searches, trials]."""
    count = len(values)
    mean = values.mean(axis=0)
    if count < 2:
        return Interval(mean, *_unknown(mean))
    return _around(mean, values.std(axis=0, ddof=1) / math.sqrt(count), np.full_like(mean, count - 1), confidence)


def difference_interval(values: Floats, reference: Floats, confidence: float) -> Interval:
    """The mean of `values` less that of `reference`, both of shape [searches, trials].

    Welch's interval, which lets the two have different variances. It takes two searches of each.
    """
    difference = values.mean(axis=0) - reference.mean(axis=0)
    if min(len(values), len(reference)) < 2:
        return Interval(difference, *_unknown(difference))
    a, b = (each.var(axis=0, ddof=1) / len(each) for each in (values, reference))
    variance = a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / (a**2 / (len(values) - 1) + b**2 / (len(reference) - 1))
    freedom = np.where(variance > 0, freedom, len(values) + len(reference) - 2)
    return _around(difference, np.sqrt(variance), freedom, confidence)


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution with `freedom` degrees of freedom, for probabilities in [0.5, 1).

    With t = sqrt(freedom) tan(angle) the density of the angle is proportional to cos(angle)^(freedom - 1), on an
    interval that ends at a right angle: easy to integrate.
    """
    angles = np.linspace(0, math.pi / 2, _GRID)
    density = np.cos(angles) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(np.interp(2 * probability - 1, area / area[-1], angles))


@cache
def _cached_quantile(probability: float, freedom: float) -> float:
    return t_quantile(probability, freedom)


def _around(mean: Floats, error: Floats, freedom: Floats, confidence: float) -> Interval:
    # A tenth of a degree of freedom is finer than anybody can see.
    quantiles = [
        math.nan if math.isnan(each) else _cached_quantile((1 + confidence) / 2, max(1.0, round(each, 1)))
        for each in freedom.tolist()
    ]
    half = np.array(quantiles) * error
    return Interval(mean, mean - half, mean + half)


def _unknown(mean: Floats) -> tuple[Floats, Floats]:
    return np.full_like(mean, math.nan), np.full_like(mean, math.nan)
