"""Draws a `ConvNet` as a graph: a column of layers from the image down to the classifier, skip connections as arcs."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from nas_api.architectures import ConvNet, ImageShape

from nas_cli import wording

# Okabe & Ito (2008): told apart by people with any colour vision. Tints of it, so that black text stays readable.
_COLOURS = {
    "Convolution": "#cfe5f3",
    "MaxPooling": "#fbe3bf",
    "AveragePooling": "#f6d5c4",
    "BatchNormalization": "#d2ece2",
    "end": "#ececec",
}
# Arcs are coloured by the layer that they leave, so that the eye can follow one among many.
_ARCS = ("#0072B2", "#D55E00", "#009E73", "#8f4f7a", "#4d4d4d")
_BOX_WIDTH, _BOX_HEIGHT, _ROW = 3.0, 0.62, 1.0
WIDTH = 8.0
"""Of a picture, in inches and in units of the drawing."""


class _Edge(NamedTuple):
    source: int  # rows: 0 is the image, then the layers, then the classifier
    target: int


def draw_convnet(
    network: ConvNet, title: str, image: ImageShape | None = None, classes: int | None = None, width: float = WIDTH
) -> Figure:
    """A picture as high as the network is deep.

    Args:
        network: the architecture.
        title: stands above it.
        image: shape of the images; None: not known, and no shapes are written.
        classes: number of classes; None: not known.
        width: of the picture, in inches: at least 4. What is beyond 3 is room for skip connections.
    """
    rows = len(network.layers) + 2
    figure = Figure(figsize=(width, 0.72 * rows + 0.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-width / 2, width / 2), ylim=((rows - 0.4) * _ROW, -0.6 * _ROW))
    axes.set_axis_off()
    axes.set_title(title, fontsize=13, fontweight="bold", pad=8)

    shapes = network.shapes(image) if image else None
    _box(axes, 0, "image", wording.shape(image) if image else "", "end")
    for index, layer in enumerate(network.layers):
        detail = wording.shape(shapes[index][1]) if shapes else ""
        _box(axes, index + 1, wording.operation(layer.operation), detail, layer.operation.op, number=index + 1)
    entering = f"{network.classifier_shape(image).channels} features" if image else ""
    outputs = f" to {classes} classes" if classes else ""
    _box(axes, rows - 1, "global average pooling, linear classifier", f"{entering}{outputs}", "end")

    edges = [
        _Edge(source, index + 1)
        for index, layer in enumerate(network.layers)
        for source in ([i + 1 for i in layer.inputs] or [0])
    ] + [_Edge(i + 1, rows - 1) for i in network.loose_ends]
    for edge in edges:
        if edge.target == edge.source + 1:
            top, bottom = edge.source * _ROW + _BOX_HEIGHT / 2, edge.target * _ROW - _BOX_HEIGHT / 2
            _arrow(axes, Path([(0, top), (0, bottom)], [Path.MOVETO, Path.LINETO]), "#222222", 1.4)
    _arcs(axes, [edge for edge in edges if edge.target != edge.source + 1], rows, width)
    return figure


def _box(axes: Axes, row: int, label: str, detail: str, kind: str, number: int | None = None) -> None:
    y = row * _ROW
    axes.add_patch(
        FancyBboxPatch(
            (-_BOX_WIDTH / 2, y - _BOX_HEIGHT / 2), _BOX_WIDTH, _BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=_COLOURS[kind], edgecolor="#333333", linewidth=1, zorder=3,
        )
    )  # fmt: skip
    axes.text(0, y - (0.11 if detail else 0), label, ha="center", va="center", fontsize=10, zorder=4)
    if detail:
        axes.text(0, y + 0.16, detail, ha="center", va="center", fontsize=8, color="#444444", zorder=4)
    if number is not None:
        axes.text(-_BOX_WIDTH / 2 + 0.1, y, str(number), ha="left", va="center", fontsize=8, color="#444444", zorder=4)


def _arcs(axes: Axes, edges: Sequence[_Edge], rows: int, width: float) -> None:
    """Skip connections: long ones bulge more, and each goes to the side that is emptier along its way."""
    load = {-1: [0] * rows, 1: [0] * rows}
    placed: list[tuple[_Edge, int]] = []
    for edge in sorted(edges, key=lambda e: (e.target - e.source, e.source)):
        between = range(edge.source, edge.target)
        side = min((1, -1), key=lambda s: sum(load[s][row] for row in between))
        for row in between:
            load[side][row] += 1
        placed.append((edge, side))
    room = width / 2 - _BOX_WIDTH / 2 - 0.15
    longest = max((edge.target - edge.source for edge in edges), default=1)
    for edge, side in placed:
        # Ends that share a side of a box are spread over it: those that leave over its lower half, in order.
        leaving = sorted(e.target for e, s in placed if s == side and e.source == edge.source)
        arriving = sorted((e.source for e, s in placed if s == side and e.target == edge.target), reverse=True)
        x = side * _BOX_WIDTH / 2
        start = edge.source * _ROW + _spread(len(leaving) - 1 - leaving.index(edge.target), len(leaving))
        end = edge.target * _ROW - _spread(len(arriving) - 1 - arriving.index(edge.source), len(arriving))
        span = edge.target - edge.source
        # A cubic Bezier reaches three quarters of the way to its control points.
        bulge = room * (0.15 + 0.85 * span / max(longest, 5)) / 0.75
        path = Path(
            [(x, start), (x + side * bulge, start), (x + side * bulge, end), (x, end)],
            [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
        )
        _arrow(axes, path, _ARCS[edge.source % len(_ARCS)], 1.1)


def _spread(rank: int, count: int) -> float:
    """Distance from the middle of a box's side of one of `count` line ends, within half of the side."""
    return (rank + 1) / (count + 1) * (_BOX_HEIGHT / 2 - 0.02)


def _arrow(axes: Axes, path: Path, colour: str, width: float) -> None:
    axes.add_patch(
        FancyArrowPatch(
            path=path,
            arrowstyle="-|>",
            mutation_scale=8,
            color=colour,
            linewidth=width,
            fill=False,
            zorder=2,
            shrinkA=0,
            shrinkB=0,
        )
    )
