"""Random recurrent cells."""

from hypothesis import strategies as st
from nas_api.architectures import CellNode, RecurrentCell

COMBINATIONS = ("add", "multiply", "max")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu", "sin")


def nodes() -> st.SearchStrategy[CellNode]:
    return st.builds(CellNode, combination=st.sampled_from(COMBINATIONS), activation=st.sampled_from(ACTIVATIONS))


@st.composite
def cells(draw: st.DrawFn, smallest: int = 2, largest: int = 8) -> RecurrentCell:
    base = draw(st.integers(smallest, largest))
    index = st.integers(0, 2 * base - 2)
    return RecurrentCell(
        nodes=tuple(draw(st.lists(nodes(), min_size=2 * base - 1, max_size=2 * base - 1))),
        inject=draw(nodes()),
        inject_index=draw(index),
        memory_index=draw(index),
    )
