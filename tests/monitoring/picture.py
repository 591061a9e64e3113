"""A dashboard as a picture, without a Grafana: its panels in their places, with what a Prometheus answers.

    python -m tests.monitoring.picture http://127.0.0.1:9090 search \\
        --set namespace=default --set search=digits -o search.png

Lines, areas, bars, heat maps, numbers and tables are drawn roughly as Grafana draws them: to see whether a panel has
the data, the unit, the legend and the room that it needs. Colours by thresholds, links and tooltips are left out.
"""

import argparse
import math
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from tests.monitoring.dashboards import NAMES, filled, model, values_of_variables
from tests.monitoring.prometheus import Prometheus, Series

Panel = dict[str, Any]

_COLUMNS = 24
_CELL = (0.75, 0.42)  # inches of a cell of Grafana's grid
_INSTANTS = 240  # of a range
_NAMED = {"green": "#73bf69", "yellow": "#e0b400", "red": "#f2495c", "blue": "#5794f2"}
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def draw_dashboard(prometheus: Prometheus, name: str, chosen: Mapping[str, str], seconds: float) -> Figure:
    """Draws a dashboard of the chart.

    Args:
        prometheus: answers its queries.
        name: of its file.
        chosen: values of the variables with one value; the others have all.
        seconds: up to now that are shown.
    """
    placed = list(_placed(model(name)["panels"]))
    height = max(row + panel["gridPos"]["h"] for row, panel in placed)
    figure = Figure(figsize=(_COLUMNS * _CELL[0], height * _CELL[1]), dpi=80, facecolor="#f4f5f5")
    values = values_of_variables(name, chosen)
    for row, panel in placed:
        place = panel["gridPos"]
        pad = 0.12  # of a cell, between panels
        axes = figure.add_axes(
            (
                (place["x"] + pad) / _COLUMNS,
                1 - (row + place["h"] - pad) / height,
                (place["w"] - 2 * pad) / _COLUMNS,
                (place["h"] - 2 * pad) / height,
            )
        )
        _draw(axes, panel, prometheus, values, seconds)
    return figure


def _placed(panels: Sequence[Panel]) -> Iterator[tuple[int, Panel]]:
    """Panels with their row of the grid; rows that are closed are open in the picture."""
    shift = 0
    for panel in panels:
        row = panel["gridPos"]["y"] + shift
        yield row, panel
        inner = panel.get("panels") or []
        if inner:
            top = min(each["gridPos"]["y"] for each in inner)
            for each in inner:
                yield row + 1 + each["gridPos"]["y"] - top, each
            shift += max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in inner) - top


def _draw(axes: Axes, panel: Panel, prometheus: Prometheus, values: Mapping[str, str], seconds: float) -> None:
    axes.set(xticks=[], yticks=[])
    if panel["type"] == "row":
        axes.set_axis_off()
        axes.text(0, 0.5, panel["title"], weight="bold", va="center", fontsize=11)
        return
    for spine in axes.spines.values():
        spine.set_color("#d8d9da")
    axes.annotate(
        panel["title"], (0, 1), (5, -5), xycoords="axes fraction", textcoords="offset points", va="top", fontsize=8
    )
    found: list[tuple[str, Series]] = []
    for target in panel.get("targets", ()):
        query = filled(target["expr"], values)
        series = prometheus.instant(query) if target["instant"] else prometheus.range(query, seconds, _step(seconds))
        found += [(_legend(target, one), one) for one in series]
    _DRAWN[panel["type"]](axes, panel, found)


def _step(seconds: float) -> float:
    return max(1.0, seconds / _INSTANTS)


def _legend(target: Mapping[str, Any], series: Series) -> str:
    return re.sub(r"{{(\w+)}}", lambda label: series.labels.get(label[1], ""), target["legendFormat"])


# Kinds of panels. -----------------------------------------------------------------------------------------------------


def _stat(axes: Axes, panel: Panel, found: Sequence[tuple[str, Series]]) -> None:
    names = panel["options"].get("textMode") == "name"
    finite = [(legend, one.value) for legend, one in found if math.isfinite(one.value)]
    shown = [legend if names else _amount(panel, value) for legend, value in finite]
    text = "\n".join(shown) or panel["fieldConfig"]["defaults"].get("noValue", "No data")
    width = axes.get_window_extent().width / 72 * 6
    axes.text(
        0.5, 0.42, textwrap.fill(text, max(10, int(width))), ha="center", va="center", fontsize=15 - len(text) / 6
    )


def _lines(axes: Axes, panel: Panel, found: Sequence[tuple[str, Series]]) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    inner = _inner(axes)
    if not found:
        inner.text(0.5, 0.5, "No data", transform=inner.transAxes, ha="center", va="center", color="#8e8e8e")
        return
    curves = [np.array(one.points) for _, one in found]  # each of shape [points, 2]: moments and values
    labels = [legend for legend, _ in found]
    colours = [_colour(panel, legend, index) for index, legend in enumerate(labels)]
    if custom.get("stacking", {}).get("mode") == "normal":
        at = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
        rows = [np.interp(at, curve[:, 0], np.nan_to_num(curve[:, 1]), left=0, right=0) for curve in curves]
        inner.stackplot(_minutes(at), rows, labels=labels, colors=colours, alpha=0.75, step="post")
    else:
        for label, curve, colour in zip(labels, curves, colours, strict=True):
            inner.plot(_minutes(curve[:, 0]), curve[:, 1], label=label, color=colour, linewidth=1.2)
    inner.margins(y=0.1)
    if (lowest := panel["fieldConfig"]["defaults"].get("min")) is not None:
        inner.set_ylim(bottom=lowest)
    inner.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(panel, value)))
    inner.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4, fontsize=6, frameon=False, handlelength=1)


def _heat(axes: Axes, panel: Panel, found: Sequence[tuple[str, Series]]) -> None:
    inner = _inner(axes)
    bounds = sorted((float(one.labels["le"]), one) for _, one in found if math.isfinite(float(one.labels["le"])))
    if not bounds:
        return
    at = sorted({moment for _, one in bounds for moment, _ in one.points})
    cumulative = np.array([[dict(one.points).get(moment, 0.0) for moment in at] for _, one in bounds])
    counts = np.diff(cumulative, axis=0, prepend=0)
    used = np.flatnonzero(counts.sum(axis=1) > 0)
    first, last = (used[0], used[-1] + 1) if len(used) else (0, len(bounds))
    shown = np.where(counts > 0, counts, math.nan)[first:last]
    inner.pcolormesh(_minutes(at), range(last - first), shown, cmap="Blues")
    labels = [f"{bound:g}" for bound, _ in bounds[first:last]]
    every = max(1, len(labels) // 6)
    inner.set_yticks(range(0, len(labels), every), labels[::every])


def _timeline(axes: Axes, panel: Panel, found: Sequence[tuple[str, Series]]) -> None:
    inner = _inner(axes)
    for row, (_, one) in enumerate(found):
        for moment, value in one.points:
            mapped = panel["fieldConfig"]["defaults"]["mappings"][0]["options"].get(f"{value:g}", {})
            colour = _NAMED.get(mapped.get("color", ""), "#8e8e8e")
            inner.plot(_minutes([moment]), [row], "s", color=colour, markersize=6)
    inner.set_yticks(range(len(found)), [legend for legend, _ in found])


def _table(axes: Axes, panel: Panel, found: Sequence[tuple[str, Series]]) -> None:
    organize = panel["transformations"][-1]["options"]
    names: dict[str, str] = organize["renameByName"]
    order: dict[str, int] = organize["indexByName"]
    names = {field: names[field] for field in sorted(names, key=lambda field: order[field])}
    values = {title: field.removeprefix("Value #") for field, title in names.items() if field.startswith("Value #")}
    labels = [field for field in names if not field.startswith("Value #")]
    keys = [label for label in labels if names[label] == label]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for title, one in found:
        row = rows.setdefault(tuple(one.labels.get(key, "") for key in keys), {})
        row |= {names[label]: one.labels[label] for label in labels if label in one.labels}
        if title in values:
            row[title] = _cell(panel, title, one.value)
    columns = list(names.values())
    axes.set_axis_off()
    if not rows:
        axes.text(0.5, 0.5, "No data", ha="center", va="center", color="#8e8e8e")
        return
    cells = [[row.get(column, "-") for column in columns] for row in rows.values()]
    height = min(0.75, 0.13 * (1 + len(cells)))
    place = Bbox.from_bounds(0.005, 0.86 - height, 0.99, height)
    drawn = axes.table(cells, colLabels=columns, cellLoc="left", colLoc="left", edges="horizontal", bbox=place)
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7)


def _cell(panel: Panel, title: str, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    properties: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == title:
            properties = {each["id"]: each["value"] for each in override["properties"]}
    for mapping in properties.get("mappings", ()):
        if mapping["type"] == "value" and f"{value:g}" in mapping["options"]:
            return str(mapping["options"][f"{value:g}"]["text"])
    return _said(value, properties.get("unit", "none"), properties.get("decimals"))


def _words(axes: Axes, panel: Panel, found: Sequence[tuple[str, Series]]) -> None:
    del found
    text = "\n".join(textwrap.fill(line, 80) for line in panel["options"]["content"].splitlines())
    axes.text(0.02, 0.85, text, va="top", fontsize=6.5, family="monospace", parse_math=False)


_DRAWN: Mapping[str, Callable[[Axes, Panel, Sequence[tuple[str, Series]]], None]] = {
    "stat": _stat,
    "timeseries": _lines,
    "heatmap": _heat,
    "state-timeline": _timeline,
    "table": _table,
    "text": _words,
}


# Parts of them. -------------------------------------------------------------------------------------------------------


def _inner(axes: Axes) -> Axes:
    """The area within a panel that curves are drawn in."""
    inner = axes.inset_axes((0.09, 0.26, 0.89, 0.6))
    inner.tick_params(labelsize=6, length=2)
    inner.grid(color="#ececec")
    inner.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:g} min"))
    return inner


def _minutes(moments: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Unix seconds as minutes from now."""
    minutes: NDArray[np.float64] = (np.asarray(moments) - time.time()) / 60
    return minutes


def _colour(panel: Panel, legend: str, index: int) -> str:
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == legend:
            for each in override["properties"]:
                if each["id"] == "color":
                    fixed: str = each["value"]["fixedColor"]
                    return _NAMED.get(fixed, fixed)
    return f"C{index % 10}"


def _amount(panel: Panel, value: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    return _said(value, defaults.get("unit", "none"), defaults.get("decimals"))


def _said(value: float, unit: str, decimals: int | None) -> str:
    """A value in its unit, such as Grafana says it."""

    def number(amount: float) -> str:
        if decimals is None and abs(amount) >= 1000:
            return f"{amount:,.0f}"
        return f"{amount:.3g}" if decimals is None else f"{amount:.{decimals}f}"

    if unit == "percentunit":
        return number(100 * value) + " %"
    if unit == "s":
        size, name = next((step for step in _STEPS if abs(value) >= step[0]), (1, "s"))
        return f"{number(value / size)} {name}"
    if unit == "bytes":
        power = min(4, int(math.log2(abs(value)) // 10)) if abs(value) >= 1 else 0
        return f"{number(value / 1024**power)} {['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}"
    suffix = {"h": " h", "ops": " /s", "reqps": " /s", "none": "", "short": ""}.get(unit)
    return number(value) + (" " + unit.removeprefix("suffix:").strip() if suffix is None else suffix)


def main() -> None:
    """Draws one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of a Prometheus, such as http://127.0.0.1:9090")
    parser.add_argument("dashboard", choices=NAMES)
    parser.add_argument(
        "--set", action="append", default=[], metavar="VARIABLE=VALUE", help="for example search=digits"
    )
    parser.add_argument("--minutes", type=float, default=10, help="up to now that are shown (default: %(default)g)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".png, .svg or .pdf")
    options = parser.parse_args()
    chosen = {"datasource": "prometheus", "price": "1"} | dict(each.split("=", 1) for each in options.set)
    prometheus = Prometheus(options.url.rstrip("/"))
    draw_dashboard(prometheus, options.dashboard, chosen, 60 * options.minutes).savefig(options.output)


if __name__ == "__main__":
    main()
