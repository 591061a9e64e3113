"""Draws the results of a benchmark: regret against evaluations, and against simulated time where there is one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# Okabe & Ito (2008): told apart by people with any colour vision.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLES = ("-", "--", ":", "-.")


def draw_regret(results: Mapping[str, Any]) -> Figure:
    """Curves of the mean regret, each with a band of one standard error."""
    timed = len(results["times"]) > 1
    figure = Figure(figsize=(13 if timed else 8, 5.4), dpi=100, layout="constrained")
    panels = figure.subplots(1, 2 if timed else 1, squeeze=False)[0]
    for index, algorithm in enumerate(results["algorithms"]):
        colour, style = _COLOURS[index % len(_COLOURS)], _STYLES[index // len(_COLOURS) % len(_STYLES)]
        curve = algorithm["curve"]
        _draw(
            panels[0], curve["evaluations"], curve["regret"], curve["standard_error"], colour, style, algorithm["label"]
        )
        if timed:
            regrets = [each["regret"] for each in algorithm["times"]]
            minutes = [each["seconds"] / 60 for each in algorithm["times"]]
            means, errors = ([each[key] for each in regrets] for key in ("mean", "standard_error"))
            _draw(panels[1], minutes, means, errors, colour, style, None)
    panels[0].set_xlabel("evaluations")
    if timed:
        panels[1].set_xlabel(f"simulated minutes with {results['parallel']} workers")
    smallest = [r for a in results["algorithms"] for r in a["curve"]["regret"] if r > 0]
    for panel in panels:
        _style(panel, results, min(smallest, default=0.001))
    figure.suptitle(
        f"{results['table']}: regret of the best {results['objective']}, mean of {results['seeds']} seeds",
        fontsize=13, fontweight="bold",
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def _draw(
    axes: Axes, x: list[float], means: list[float], errors: list[float], colour: str, style: str, label: str | None
) -> None:
    mean, error = np.array(means), np.nan_to_num(np.array(errors, dtype=np.float64))
    axes.plot(x, mean, linewidth=1.8, label=label, color=colour, linestyle=style)
    axes.fill_between(x, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)


def _style(axes: Axes, results: Mapping[str, Any], smallest: float) -> None:
    axes.set_xscale("log")
    # Zero, which the best reach, has its place on this scale.
    axes.set_yscale("symlog", linthresh=max(smallest, 0.001), linscale=0.5)
    axes.set_ylim(bottom=0)
    axes.axhline(results["target"], color="#999999", linewidth=0.8, linestyle=":")
    axes.set_ylabel(f"regret, points of {results['objective']}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
