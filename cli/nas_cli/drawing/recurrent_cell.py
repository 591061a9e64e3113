"""Draws a `RecurrentCell` as a tree: leaves below, h' above, the memory coming in from the left and going out right."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from nas_api.architectures import RecurrentCell

_SYMBOLS = {"add": "+", "multiply": "\N{MULTIPLICATION SIGN}", "max": "max"}
# Tints of the colours of Okabe & Ito (2008), one for each activation.
_COLOURS = {"identity": "#f4f4f4", "tanh": "#cfe5f3", "sigmoid": "#fbe3bf", "relu": "#d2ece2", "sin": "#f6d5c4"}
_MEMORY = "#D55E00"
_BOX_WIDTH, _BOX_HEIGHT = 0.8, 0.56
_ROW = 1.4
_RADIUS = 0.2  # of the place where the memory enters


def draw_recurrent_cell(cell: RecurrentCell, title: str) -> Figure:
    """A picture, an inch wide for each leaf."""
    x, y = _positions(cell)
    left, right, top = -1.6, cell.base + 0.6, max(y) + _ROW
    figure = Figure(figsize=(max(8.0, right - left), top + 1.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(left, right), ylim=(-1.1, top + 0.1))
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=13, fontweight="bold", pad=8)

    for index, node in enumerate(cell.nodes):
        _box(axes, x[index], y[index], index, node.activation, _SYMBOLS[node.combination])
        children = cell.children(index)
        if children is None:
            axes.text(x[index], -0.8, "x, h", ha="center", va="center", fontsize=9, color="#444444")
            _arrow(axes, [(x[index], -0.68), (x[index], -_BOX_HEIGHT / 2)])
            continue
        for child, offset in zip(children, (-0.2, 0.2), strict=True):
            start = y[child] + _BOX_HEIGHT / 2
            if child == cell.inject_index:
                start = _inject(axes, cell, x[child], y[child], left)
            _arrow(axes, [(x[child], start), (x[index] + offset, y[index] - _BOX_HEIGHT / 2)])
    root = len(cell.nodes) - 1
    start = y[root] + _BOX_HEIGHT / 2
    if root == cell.inject_index:
        start = _inject(axes, cell, x[root], y[root], left)
    axes.text(x[root], top, "h'", ha="center", va="center", fontsize=12, fontweight="bold")
    _arrow(axes, [(x[root], start), (x[root], top - 0.15)])
    _memory(axes, x[cell.memory_index], y[cell.memory_index], right)
    return figure


def _positions(cell: RecurrentCell) -> tuple[list[float], list[float]]:
    """Where the nodes stand: a parent between its children and above both."""
    x: list[float] = []
    y: list[float] = []
    for index in range(len(cell.nodes)):
        children = cell.children(index)
        x.append(float(index) if children is None else sum(x[child] for child in children) / 2)
        y.append(0.0 if children is None else max(y[child] for child in children) + _ROW)
    return x, y


def _box(axes: Axes, x: float, y: float, index: int, activation: str, symbol: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2), _BOX_WIDTH, _BOX_HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.1", facecolor=_COLOURS[activation], edgecolor="#333333",
            linewidth=1, zorder=3,
        )
    )  # fmt: skip
    axes.text(x, y + 0.12, activation, ha="center", va="center", fontsize=9, zorder=4)
    axes.text(x, y - 0.12, symbol, ha="center", va="center", fontsize=10, zorder=4)
    axes.text(
        x - _BOX_WIDTH / 2 + 0.05, y - 0.16, str(index), ha="left", va="center", fontsize=7, color="#444444", zorder=4
    )


def _inject(axes: Axes, cell: RecurrentCell, x: float, y: float, left: float) -> float:
    """The former memory enters above a node. Returns the height at which the node's output goes on."""
    height = y + _BOX_HEIGHT / 2 + 0.16 + _RADIUS
    _arrow(axes, [(x, y + _BOX_HEIGHT / 2), (x, height - _RADIUS)])
    axes.add_patch(Circle((x, height), _RADIUS, facecolor="white", edgecolor=_MEMORY, linewidth=1.2, zorder=3))
    axes.text(x, height, _SYMBOLS[cell.inject.combination], ha="center", va="center", fontsize=8, zorder=4)
    if cell.inject.activation != "identity":
        axes.text(x + _RADIUS + 0.05, height + 0.12, cell.inject.activation, fontsize=8, color=_MEMORY, zorder=5)
    axes.text(left + 0.2, height, "c", ha="center", va="center", fontsize=12, fontweight="bold", color=_MEMORY)
    _arrow(axes, [(left + 0.35, height), (x - _RADIUS, height)], _MEMORY, dashed=True)
    return height + _RADIUS


def _memory(axes: Axes, x: float, y: float, right: float) -> None:
    """The new memory leaves a node at its combination, before the activation, through the gap between two rows."""
    gap = y - _BOX_HEIGHT / 2 - 0.2
    axes.text(right - 0.2, gap, "c'", ha="center", va="center", fontsize=12, fontweight="bold", color=_MEMORY)
    edge = x + _BOX_WIDTH / 2
    _arrow(
        axes, [(edge, y - 0.14), (edge + 0.07, y - 0.14), (edge + 0.07, gap), (right - 0.38, gap)], _MEMORY, dashed=True
    )


def _arrow(axes: Axes, points: list[tuple[float, float]], colour: str = "#222222", *, dashed: bool = False) -> None:
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>",
            mutation_scale=8,
            color=colour,
            linestyle="--" if dashed else "-",
            linewidth=1.2,
            fill=False,
            zorder=2,
            shrinkA=0,
            shrinkB=0,
        )
    )
