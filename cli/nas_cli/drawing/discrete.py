"""Draws a `Discrete` as a list of its choices, a repeat as a table with a row for each round."""

from matplotlib.figure import Figure
from nas_api.architectures import Discrete

from nas_cli import wording

_WIDTH, _LINE = 8.0, 0.28  # inches


def draw_discrete(architecture: Discrete, title: str) -> Figure:
    """A picture, 8 inches wide or as wide as the widest repeat needs, as high as there are choices."""
    rows: list[tuple[list[str], bool]] = []  # cells, and whether they are a heading
    ends: list[float] = []  # of repeats
    for name, value in architecture.nested.items():
        if not isinstance(value, list):
            rows.append(([name, wording.value(value)], False))
            continue
        names = wording.names_in_rounds(value)
        rows.append(([name, *names], True))
        for index, values in enumerate(value):
            cells = [wording.value(values[column]) if column in values else "" for column in names]
            rows.append(([str(index), *cells], False))
        ends.append(len(rows) - 0.5)
    columns = max(len(cells) for cells, _ in rows)
    widths = [max(len(cells[c]) for cells, _ in rows if c < len(cells)) + 3 for c in range(columns)]
    starts = [sum(widths[:c]) for c in range(columns + 1)]
    figure = Figure(figsize=(max(_WIDTH, starts[-1] * 0.09), _LINE * (len(rows) + 2) + 0.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, starts[-1]), ylim=(len(rows) - 0.4, -1))
    axes.set_axis_off()
    axes.set_title(title, fontsize=13, fontweight="bold", pad=8)
    for end in ends:
        axes.axhline(end, color="#cccccc", linewidth=1)
    for row, (cells, heading) in enumerate(rows):
        if heading:
            axes.axhspan(row - 0.5, row + 0.5, color="#ececec", linewidth=0)
        for column, text in enumerate(cells):
            weight = "bold" if heading else "normal"
            axes.text(starts[column] + 1, row, text, va="center", fontsize=10, fontweight=weight, parse_math=False)
    return figure
