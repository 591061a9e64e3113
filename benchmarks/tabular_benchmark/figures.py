"""Results of a benchmark as plain values: what is written as JSON, and drawn as tables and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_benchmark.contestants import Contestant
from tabular_benchmark.simulation import Run
from tabular_benchmark.statistics import (
    Mean,
    Scale,
    column_of,
    finished_by,
    first_at_most,
    incumbents,
    top_means,
)

Figures = dict[str, Any]
_CURVE_POINTS = 80
_TOPS = (5, 15)


def figures_of(
    contestant: Contestant,
    runs: Sequence[Run],
    scale: Scale,
    report: NDArray[np.float64],
    *,
    budgets: Sequence[int],
    times: Sequence[float],
    target: float,
) -> Figures:
    """The figures of one algorithm.

    Args:
        contestant: the algorithm.
        runs: its searches, one a seed.
        scale: of the objective.
        report: the reported column, shape [rows]; NaN where a cell is empty. Its mean is that of the seeds whose best
            architecture has one.
        budgets: evaluations at which to report, ascending; each run has as many as the last at least.
        times: simulated seconds at which to report.
        target: regret of which to tell how many evaluations it takes.
    """
    found = [incumbents(run, scale, max(len(run.rows), budgets[-1])) for run in runs]
    objectives = [column_of(rows, scale.objective, scale) for rows in found]
    regrets = [scale.regret(objective) for objective in objectives]
    reports = [column_of(rows, report, scale) for rows in found]
    tops = {count: np.stack([top_means(run, scale, count, budgets) for run in runs]) for count in _TOPS}
    curve = np.stack([regret[: budgets[-1]] for regret in regrets])
    shown = _spread(budgets[-1])
    lags = np.array([lag for run in runs for lag in run.lags] or [0])
    trained = sum(len(run.rows) for run in runs)
    return {
        "label": contestant.label,
        "algorithm": contestant.algorithm,
        "settings": list(contestant.overrides),
        "seeds": len(runs),
        "budgets": [
            {
                "evaluations": budget,
                "regret": _mean([regret[budget - 1] for regret in regrets]),
                "objective": _mean([objective[budget - 1] for objective in objectives]),
                "report": _mean([values[budget - 1] for values in reports]),
                **{f"top_{count}": _mean(means[:, index]) for count, means in tops.items()},
            }
            for index, budget in enumerate(budgets)
        ],
        "area": _mean(curve.mean(axis=1)),
        "evaluations_to_target": first_at_most(curve.mean(axis=0), target),
        "device_seconds_to_target": _device_seconds_to(target, runs, regrets),
        "times": [_at_time(time, runs, regrets, scale) for time in times],
        "idle_share": _mean([run.idle_seconds / (run.workers * run.seconds) for run in runs]),
        "version_lag": {"mean": float(lags.mean()), "max": int(lags.max())},
        "learner_ms_per_trial": 1000 * sum(run.learner_seconds for run in runs) / trained,
        "curve": {
            "evaluations": shown.tolist(),
            "regret": curve.mean(axis=0)[shown - 1].tolist(),
            "standard_error": [Mean.of(curve[:, n - 1]).standard_error for n in shown],
        },
    }


def _mean(values: Sequence[float] | NDArray[np.float64]) -> Mapping[str, float | None]:
    return asdict(Mean.of(np.asarray(values, dtype=np.float64)))


def _spread(last: int) -> NDArray[np.int64]:
    """Evaluations from 1 to `last`, as far apart on a logarithmic scale as there is room for."""
    return np.unique(np.geomspace(1, last, _CURVE_POINTS).round().astype(np.int64))


def _at_time(
    time: float, runs: Sequence[Run], regrets: Sequence[NDArray[np.float64]], scale: Scale
) -> Mapping[str, Any]:
    counts = [finished_by(run, time) for run in runs]
    nothing = float(scale.regret(np.array(scale.worst)))
    values = [regret[count - 1] if count else nothing for regret, count in zip(regrets, counts, strict=True)]
    return {"seconds": time, "regret": _mean(values), "evaluations": _mean(counts)}


def _device_seconds_to(target: float, runs: Sequence[Run], regrets: Sequence[NDArray[np.float64]]) -> float | None:
    """How many seconds of training, of all workers together, it takes until the mean regret is at most `target`."""
    spent = [np.cumsum(run.device_seconds) for run in runs]
    curves = [regret[: len(t)] for regret, t in zip(regrets, spent, strict=True)]
    # The mean changes when any run finds a better one: these are the times at which to look.
    moments = np.unique(
        np.concatenate([t[np.flatnonzero(np.diff(r, prepend=np.inf))] for t, r in zip(spent, curves, strict=True)])
    )
    # Up to when all runs are known; one that has converged would find nothing more.
    last = min((t[-1] for t, run in zip(spent, runs, strict=True) if not run.converged), default=np.inf)
    moments = moments[(moments >= max(t[0] for t in spent)) & (moments <= last)]
    regret = [r[np.searchsorted(t, moments, side="right") - 1] for t, r in zip(spent, curves, strict=True)]
    reached = np.flatnonzero(np.mean(regret, axis=0) <= target)
    return float(moments[reached[0]]) if len(reached) else None
