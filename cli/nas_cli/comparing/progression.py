"""`Progression`: how good the best architectures of one search were after each trial."""

import bisect
import math
from collections.abc import Mapping, Sequence

import numpy as np
from nas_controller.journal.journal import TrialRecord, TrialState
from numpy.typing import NDArray

STATISTICS: Mapping[str, int] = {"best": 1, "top5": 5, "top15": 15}
"""The mean reward of so many of the best architectures: by these the paper compares searches."""

Progression = Mapping[str, NDArray[np.float64]]
"""Each statistic after each finished trial, shape [trials]; NaN where no trial had succeeded."""


def progression(finished: Sequence[TrialRecord]) -> Progression:
    """The progression of a search.

    An architecture that was trained several times counts once, with its highest reward. Means are of all architectures
    while there are fewer. Trials that failed or were stopped early count as trials, not among the best.

    Args:
        finished: trials in the order in which they finished.
    """
    rewards: dict[str, float] = {}  # of each architecture, by digest
    ascending: list[float] = []  # the same
    rows = []
    for record in finished:
        if record.state is TrialState.SUCCEEDED and record.reward is not None:
            former = rewards.get(record.sampled.digest, -math.inf)
            if record.reward > former:
                rewards[record.sampled.digest] = record.reward
                if former > -math.inf:
                    del ascending[bisect.bisect_left(ascending, former)]
                bisect.insort(ascending, record.reward)
        rows.append([_mean(ascending[-count:]) for count in STATISTICS.values()])
    columns = np.array(rows, dtype=np.float64).reshape(-1, len(STATISTICS)).T
    return dict(zip(STATISTICS, columns, strict=True))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
