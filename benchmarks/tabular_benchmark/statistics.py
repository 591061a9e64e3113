"""Figures of many searches of one table by one algorithm: means over seeds with their standard errors."""

import bisect
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tabular_benchmark.simulation import FAILED, Run

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """What makes one architecture better than another, and how far from the best it is.

    Attributes:
        objective: of each row of the table, shape [rows].
        sign: 1 if higher is better, -1 if lower is.
    """

    objective: Floats
    sign: int

    @property
    def best(self) -> float:
        """The best objective in the table."""
        return float(self.sign * np.nanmax(self.sign * self.objective))

    @property
    def worst(self) -> float:
        """The worst objective in the table: what a search has that has found nothing yet."""
        return float(self.objective[self.worst_row])

    @property
    def worst_row(self) -> int:
        """The row that has it, the first of them."""
        return int(np.nanargmin(self.sign * self.objective))

    def regret(self, objective: Floats) -> Floats:
        """How much worse than the best, in the objective's own points: never negative."""
        return self.sign * (self.best - objective)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over seeds."""

    mean: float | None
    """None: no seed has a value."""
    standard_error: float | None
    """Sample standard deviation over the square root of the number of seeds; None of one seed."""

    @classmethod
    def of(cls, values: Floats) -> "Mean":
        """The mean of one value for each seed, shape [seeds]. NaN stands for none: it is left out."""
        values = values[~np.isnan(values)]
        error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
        return cls(float(values.mean()) if len(values) else None, error)


def incumbents(run: Run, scale: Scale, evaluations: int) -> NDArray[np.int64]:
    """The row of the best architecture so far after each evaluation, the first among equals; shape [evaluations].

    `FAILED` while nothing has succeeded. A search that has converged keeps what it has found.
    """
    best = FAILED
    rows = np.full(evaluations, FAILED, dtype=np.int64)
    for index, row in enumerate(run.rows[:evaluations]):
        if row != FAILED and (best == FAILED or scale.sign * (scale.objective[row] - scale.objective[best]) > 0):
            best = row
        rows[index] = best
    rows[len(run.rows) :] = best
    return rows


def top_means(run: Run, scale: Scale, count: int, budgets: Sequence[int]) -> Floats:
    """The mean objective of the `count` best distinct architectures after each budget; of all while there are fewer.

    Shape [budgets].
    """
    return np.array([_top_mean(set(run.rows[:budget]) - {FAILED}, scale, count) for budget in budgets])


def _top_mean(rows: set[int], scale: Scale, count: int) -> float:
    best = heapq.nlargest(count, (float(scale.sign * scale.objective[row]) for row in rows))
    return scale.sign * sum(best) / len(best) if best else scale.worst


def column_of(rows: NDArray[np.int64], column: Floats, scale: Scale) -> Floats:
    """The values of `column` in `rows`, those of the worst architecture of the table for failed trials."""
    return column[np.where(rows == FAILED, scale.worst_row, rows)]


def first_at_most(curve: Floats, target: float) -> int | None:
    """After how many evaluations a curve is at most `target` for the first time. None: never."""
    reached = np.flatnonzero(curve <= target)
    return int(reached[0]) + 1 if len(reached) else None


def finished_by(run: Run, seconds: float) -> int:
    """How many trials have finished at a simulated time."""
    return bisect.bisect_right(run.finished_at, seconds)
