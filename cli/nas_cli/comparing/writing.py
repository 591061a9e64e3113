"""Writes a comparison as tables for people, and as JSON and CSV for programs."""

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from nas_cli.comparing.comparison import Comparison
from nas_cli.comparing.interval import Interval
from nas_cli.terminal import stdout

TITLES = {
    "best": "Best reward",
    "top5": "Mean reward of the 5 best architectures",
    "top15": "Mean reward of the 15 best architectures",
}


def write_comparison(comparison: Comparison, trials: Sequence[int], output: str) -> None:
    """Writes it to stdout, after the given numbers of trials: `table`, `json` or `csv`."""
    if output == "table":
        console = stdout()
        for statistic in TITLES:
            console.print(_table(comparison, statistic, trials), "")
        console.print(_explanation(comparison), style="dim")
    elif output == "csv":
        rows = list(_rows(comparison, trials))
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        document = {
            "trials": comparison.trials,
            "confidence": comparison.confidence,
            "groups": [
                {"name": group.name, "searches": len(group.runs), "trials": group.trials} for group in comparison.groups
            ],
            "rows": list(_rows(comparison, trials)),
        }
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")


def _table(comparison: Comparison, statistic: str, trials: Sequence[int]) -> Table:
    means, differences = comparison.means[statistic], comparison.differences[statistic]
    first = comparison.groups[0].name
    table = Table(
        title=TITLES[statistic], title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0),
        header_style="bold",
    )  # fmt: skip
    for name in ("trials", *means, *(f"{name} - {first}" for name in differences)):
        table.add_column(name, justify="right")
    for number in trials:
        cells = [_cell(interval, number, "") for interval in means.values()]
        cells += [_cell(interval, number, "+") for interval in differences.values()]
        table.add_row(str(number), *cells)
    return table


def _cell(interval: Interval, trials: int, sign: str) -> str:
    mean, low, high = (float(each[trials - 1]) for each in (interval.mean, interval.low, interval.high))
    if math.isnan(mean):
        return "-"
    return f"{mean:{sign}.4f}" + ("" if math.isnan(low) else f" [{low:{sign}.4f}, {high:{sign}.4f}]")


def _explanation(comparison: Comparison) -> str:
    alone = [group.name for group in comparison.groups if len(group.runs) < 2]
    if len(alone) == len(comparison.groups):
        return (
            "One search of each: it may be luck. Confidence intervals take several, each with its own --set spec.seed: "
            "nas compare a=RUN1,RUN2 b=RUN3,RUN4"
        )
    missing = f" None for {', '.join(alone)}, of which there is one search." if alone else ""
    percent = f"{100 * comparison.confidence:.4g} %"
    return f"In brackets: {percent} confidence intervals over searches (Student's t, Welch's for differences).{missing}"


def _rows(comparison: Comparison, trials: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One for each number of trials, statistic and group; numbers that are not known are null."""
    for number in trials:
        for statistic in TITLES:
            for group in comparison.groups:
                difference = comparison.differences[statistic].get(group.name)
                yield {
                    "trials": number,
                    "statistic": statistic,
                    "group": group.name,
                    **_values(comparison.means[statistic][group.name], number, "mean", "low", "high"),
                    **_values(difference, number, "difference", "differenceLow", "differenceHigh"),
                }


def _values(interval: Interval | None, trials: int, *names: str) -> dict[str, float | None]:
    if interval is None:
        return dict.fromkeys(names)
    values = (float(each[trials - 1]) for each in (interval.mean, interval.low, interval.high))
    return {name: None if math.isnan(value) else value for name, value in zip(names, values, strict=True)}
