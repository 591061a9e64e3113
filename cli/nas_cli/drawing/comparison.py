"""Draws a comparison of searches: what each group had found after each trial, and by how much it was ahead."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas_cli.comparing.comparison import Comparison
from nas_cli.comparing.interval import Interval
from nas_cli.comparing.writing import TITLES

# Okabe & Ito (2008): told apart by people with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def draw_comparison(comparison: Comparison) -> Figure:
    """A picture of 1300 pixels in width: a column for each statistic, the differences from the first group below."""
    rows = 2 if len(comparison.groups) > 1 else 1
    figure = Figure(figsize=(13, 3.8 * rows), dpi=100, layout="constrained")
    panels = figure.subplots(rows, len(TITLES), squeeze=False, sharex=True)
    colours = {group.name: _COLOURS[index % len(_COLOURS)] for index, group in enumerate(comparison.groups)}
    first = comparison.groups[0].name
    for column, (statistic, title) in enumerate(TITLES.items()):
        above = panels[0, column]
        above.set_title(title, fontsize=11)
        for name, interval in comparison.means[statistic].items():
            _draw(above, interval, colours[name], name if column == 0 else None)
        _style(above)
        if rows == 2:
            below = panels[1, column]
            below.axhline(0, color=colours[first], linewidth=1.2)
            for name, interval in comparison.differences[statistic].items():
                _draw(below, interval, colours[name], None)
            _style(below)
        panels[-1, column].set_xlabel("trials finished")
    panels[0, 0].set_ylabel("reward")
    if rows == 2:
        panels[1, 0].set_ylabel(f"difference from {first}")
    figure.legend(loc="outside lower center", ncols=4, fontsize=10, frameon=False)
    return figure


def _draw(axes: Axes, interval: Interval, colour: str, label: str | None) -> None:
    trials = np.arange(1, len(interval.mean) + 1)
    axes.plot(trials, interval.mean, color=colour, linewidth=1.8, label=label)
    axes.fill_between(trials, interval.low, interval.high, color=colour, alpha=0.15, linewidth=0)


def _style(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
