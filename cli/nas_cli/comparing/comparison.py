"""`Comparison`: groups of searches, trial for trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas_cli.comparing.interval import Interval, difference_interval, mean_interval
from nas_cli.comparing.progression import STATISTICS, Progression

_STEPS = 8  # rows of a table, about
_PAPERS_STEP = 400  # trials; the paper compares every 400


@dataclass(frozen=True, slots=True)
class Group:
    """Searches that differ in their seed alone."""

    name: str
    runs: tuple[Progression, ...]
    trials: int
    """Finished in every one of them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Groups after the same numbers of trials, as many as all of their searches have.

    Attributes:
        groups: the first is what the others are compared with.
        confidence: of the intervals, such as 0.95.
        means: by name of the statistic, of each group by name.
        differences: the same of the other groups, less the first.
    """

    groups: tuple[Group, ...]
    confidence: float
    means: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Interval]]

    @property
    def trials(self) -> int:
        """Finished in every search of every group."""
        return min(group.trials for group in self.groups)


def make_group(name: str, runs: Sequence[Progression]) -> Group:
    """The group of some searches."""
    return Group(name, tuple(runs), min(len(run["best"]) for run in runs))


def compare(groups: Sequence[Group], confidence: float) -> Comparison:
    """Compares groups with the first of them."""
    trials = min(group.trials for group in groups)
    first, *others = groups
    means: dict[str, dict[str, Interval]] = {}
    differences: dict[str, dict[str, Interval]] = {}
    for statistic in STATISTICS:
        values = {group.name: np.stack([run[statistic][:trials] for run in group.runs]) for group in groups}
        means[statistic] = {name: mean_interval(each, confidence) for name, each in values.items()}
        differences[statistic] = {
            other.name: difference_interval(values[other.name], values[first.name], confidence) for other in others
        }
    return Comparison(tuple(groups), confidence, means, differences)


def choose_trials(trials: int, every: int | None) -> list[int]:
    """Numbers of trials to show: the multiples of `every`, and the last.

    Without `every` it is the paper's 400 where there are that many trials, and else 1, 2 or 5 times a power of ten.
    """
    if every is None:
        wanted = trials / _STEPS
        nice = (digit * 10**power for power in range(8) for digit in (1, 2, 5))
        every = _PAPERS_STEP if _PAPERS_STEP <= wanted <= 4 * _PAPERS_STEP else next(n for n in nice if n >= wanted)
    return [*range(every, trials, every), trials]
