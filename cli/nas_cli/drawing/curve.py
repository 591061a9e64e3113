"""Draws the course of a search: rewards, what was best, and how sure of itself the policy became."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from nas_controller.journal.journal import TrialRecord, TrialState, UpdateRecord

# Okabe & Ito (2008): told apart by people with any colour vision.
_POINT, _FAILED, _BEST, _TOP, _MEAN, _ENTROPY = "#56B4E9", "#999999", "#D55E00", "#0072B2", "#000000", "#009E73"
TOP_COUNT = 15  # the paper compares the mean of the 15 best architectures found so far
MEAN_WINDOW = 50


def draw_curve(title: str, finished: Sequence[TrialRecord], updates: Sequence[UpdateRecord]) -> Figure:
    """A picture of 800 x 600 pixels at 100 dots an inch.

    Args:
        title: stands above it.
        finished: trials in the order in which they finished; at least one.
        updates: of the policy, in order. Their entropy, where they have one, gets a panel of its own.
    """
    entropy = [(update.trials_finished, update.entropy) for update in updates if update.entropy is not None]
    figure = Figure(figsize=(8, 6 if entropy else 4.6), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    if entropy:
        rewards, entropies = figure.subplots(2, sharex=True, height_ratios=(3.4, 1))
        _draw_entropy(entropies, entropy)
    else:
        rewards = entropies = figure.subplots()
    _draw_rewards(rewards, finished, updates)
    entropies.set_xlabel("trials finished")
    entropies.xaxis.set_major_locator(MaxNLocator(integer=True))
    rewards.set_xlim(0, len(finished) + 1)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def best_so_far(rewards: Sequence[float]) -> list[float]:
    """The highest reward after each trial."""
    return list(accumulate(rewards, max))


def top_mean(rewards: Sequence[float], count: int = TOP_COUNT) -> list[float]:
    """The mean of the `count` highest rewards after each trial; of all while there are fewer."""
    import heapq

    heap: list[float] = []
    means = []
    for reward in rewards:
        if len(heap) < count:
            heapq.heappush(heap, reward)
        else:
            heapq.heappushpop(heap, reward)
        means.append(sum(heap) / len(heap))
    return means


def moving_mean(rewards: Sequence[float], window: int = MEAN_WINDOW) -> list[float]:
    """The mean of the last `window` rewards after each trial; of all while there are fewer."""
    total = np.concatenate([[0.0], np.cumsum(rewards)])
    index = np.arange(1, len(rewards) + 1)
    start = np.maximum(index - window, 0)
    return ((total[index] - total[start]) / (index - start)).tolist()  # type: ignore[no-any-return]


def _draw_rewards(axes: Axes, finished: Sequence[TrialRecord], updates: Sequence[UpdateRecord]) -> None:
    x = np.arange(1, len(finished) + 1)
    rewards = np.array([record.reward or 0.0 for record in finished])
    failed = np.array([record.state is TrialState.FAILED for record in finished])
    lowest = lowest_shown(rewards[~failed])
    shown = ~failed & (rewards >= lowest)
    # Thousands of points must not hide the lines.
    size, alpha = (22, 0.75) if len(finished) <= 500 else (8, 0.35)
    axes.scatter(x[shown], rewards[shown], s=size, alpha=alpha, color=_POINT, linewidths=0, label="trial")
    at_the_edge = axes.get_xaxis_transform()
    for which, marker, colour, label in (
        (~failed & ~shown, "v", _POINT, "trial below the scale"),
        (failed, "x", _FAILED, "failed trial"),
    ):
        if which.any():
            y = np.full(which.sum(), 0.02)
            axes.scatter(
                x[which], y, s=size, marker=marker, color=colour, linewidths=1, transform=at_the_edge, label=label
            )
    baseline = [(update.trials_finished, update.baseline) for update in updates if update.baseline is not None]
    if baseline:
        axes.plot(
            *zip(*baseline, strict=True), color=_MEAN, linewidth=1.4, linestyle="--", label="baseline (moving mean)"
        )
    else:
        label = f"mean of the last {MEAN_WINDOW}"
        axes.plot(x, moving_mean(rewards.tolist()), color=_MEAN, linewidth=1.4, linestyle="--", label=label)
    if len(finished) >= TOP_COUNT:
        top = top_mean(rewards.tolist())[TOP_COUNT - 1 :]
        axes.plot(x[TOP_COUNT - 1 :], top, color=_TOP, linewidth=2, label=f"mean of the best {TOP_COUNT} so far")
    axes.step(x, best_so_far(rewards.tolist()), where="post", color=_BEST, linewidth=2, label="best so far")
    if shown.any():
        low, high = rewards[shown].min(), rewards[shown].max()
        margin = 0.08 * (high - low) or 0.05
        axes.set_ylim(low - margin, high + margin)
    axes.set_ylabel("reward")
    _style(axes)


def lowest_shown(rewards: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """The lowest reward on the scale: a few hopeless architectures must not flatten the curve of the others."""
    if len(rewards) == 0:
        return 0.0
    lower, upper = np.percentile(rewards, 5), rewards.max()
    return float(rewards.min() if rewards.min() > lower - (upper - lower) else lower - 0.2 * (upper - lower))


def _draw_entropy(axes: Axes, entropy: Sequence[tuple[int, float]]) -> None:
    axes.plot(*zip(*entropy, strict=True), color=_ENTROPY, linewidth=1.6)
    axes.set_ylabel("entropy\n(nats a decision)")
    _style(axes)


def _style(axes: Axes) -> None:
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
