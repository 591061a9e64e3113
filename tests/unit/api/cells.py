"""Recurrent cells for tests: any, and mirror images of one."""

from typing import Any

import hypothesis.strategies as st
from nas_api.architectures import CellNode, RecurrentCell
from nas_api.architectures.recurrent_cell import children_in_tree

COMBINATIONS = ("add", "multiply", "max")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu", "sin")


@st.composite
def cells(
    draw: st.DrawFn, most: int = 9, combinations: int = len(COMBINATIONS), activations: int = len(ACTIVATIONS)
) -> RecurrentCell:
    base = draw(st.integers(2, most))
    nodes = st.builds(
        CellNode,
        combination=st.sampled_from(COMBINATIONS[:combinations]),
        activation=st.sampled_from(ACTIVATIONS[:activations]),
    )
    indices = st.integers(0, 2 * base - 2)
    return RecurrentCell(
        nodes=tuple(draw(st.lists(nodes, min_size=2 * base - 1, max_size=2 * base - 1))),
        inject=draw(nodes),
        memory_index=draw(indices),
        inject_index=draw(indices),
    )


def leaves_below(cell: RecurrentCell, node: int) -> int:
    children = cell.children(node)
    return 1 if children is None else sum(leaves_below(cell, child) for child in children)


def mirrored(cell: RecurrentCell, draw: st.DrawFn | Any) -> RecurrentCell:
    """The cell with the children of some nodes swapped, together with all that is below them."""
    new_of: dict[int, int] = {}

    def place(old: int, new: int) -> None:
        new_of[old] = new
        children = cell.children(old)
        if children is None:
            return
        left, right = children
        if leaves_below(cell, left) == leaves_below(cell, right) and draw(st.booleans()):
            left, right = right, left
        for child, below in zip((left, right), children_in_tree(cell.base)[new - cell.base], strict=True):
            place(child, below)

    root = len(cell.nodes) - 1
    place(root, root)
    nodes = [cell.nodes[0]] * len(cell.nodes)
    for old, new in new_of.items():
        nodes[new] = cell.nodes[old]
    return RecurrentCell(
        nodes=tuple(nodes),
        inject=cell.inject,
        memory_index=new_of[cell.memory_index],
        inject_index=new_of[cell.inject_index],
    )
