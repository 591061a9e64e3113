"""The drawing of a recurrent cell: a tree with the memory coming in and going out."""

from hypothesis import given, settings
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from nas_api.architectures import RecurrentCell
from nas_api.architectures.recurrent_cell import NAS_CELL
from nas_cli.drawing.recurrent_cell import draw_recurrent_cell

from tests.unit.api.cells import cells


@given(cells())
@settings(deadline=None, max_examples=15)
def test_every_node_is_a_box_and_every_edge_an_arrow(cell: RecurrentCell) -> None:
    axes = draw_recurrent_cell(cell, "cell: trial 7").axes[0]
    assert sum(isinstance(patch, FancyBboxPatch) for patch in axes.patches) == 2 * cell.base - 1
    assert sum(isinstance(patch, Circle) for patch in axes.patches) == 1
    # Into each leaf, from each node to its parent or out, into and out of the injection, out of the memory.
    assert sum(isinstance(patch, FancyArrowPatch) for patch in axes.patches) == cell.base + 2 * cell.base - 1 + 2 + 1


@given(cells())
@settings(deadline=None, max_examples=15)
def test_boxes_do_not_overlap_and_nothing_reaches_beyond_the_picture(cell: RecurrentCell) -> None:
    figure = draw_recurrent_cell(cell, "cell: trial 7")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = []
    for patch in axes.patches:
        path = patch.get_path().transformed(patch.get_transform()).transformed(axes.transData.inverted())
        extents = path.get_extents()
        assert axes.get_xlim()[0] <= extents.x0 <= extents.x1 <= axes.get_xlim()[1]
        assert axes.get_ylim()[0] <= extents.y0 <= extents.y1 <= axes.get_ylim()[1]
        if isinstance(patch, FancyBboxPatch):
            boxes.append(extents)
    for index, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:index])


def test_it_says_what_a_node_does_and_where_the_memory_is() -> None:
    axes = draw_recurrent_cell(NAS_CELL, "cells: trial 7, reward 0.9").axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert axes.get_title() == "cells: trial 7, reward 0.9"
    assert texts.count("x, h") == 8
    assert texts.count("relu") == 2
    assert texts.count("tanh") == 7 + 1  # nodes, and where the memory enters
    assert {"c", "c'", "h'"} <= set(texts)
