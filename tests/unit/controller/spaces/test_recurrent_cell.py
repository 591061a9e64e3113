"""`RecurrentCellSpace`: the order of its decisions, and that decisions and cells say the same."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from nas_api import spec
from nas_api.architectures import CellNode, ConvNet, Convolution, Layer, RecurrentCell, parse_architecture
from nas_api.architectures.recurrent_cell import LSTM_CELL, LSTM_CELL_OF_BASE_4, NAS_CELL
from nas_controller.spaces import Kind, RecurrentCellSpace, build_space

from tests.unit.api.cells import ACTIVATIONS, COMBINATIONS, mirrored
from tests.unit.controller.spaces.walking import every_architecture, names, walk_at_random

specs = st.builds(
    spec.RecurrentCellSpace,
    base=st.integers(2, 9),
    combinations=st.lists(st.sampled_from(COMBINATIONS), min_size=1, unique=True).map(tuple),
    activations=st.lists(st.sampled_from(ACTIVATIONS), min_size=1, unique=True).map(tuple),
)


@settings(deadline=None)
@given(specs, st.integers(0, 2**32))
def test_every_walk_ends_in_a_valid_cell_that_its_decisions_decode_to_and_that_encodes_to_them(
    description: spec.RecurrentCellSpace, seed: int
) -> None:
    space = RecurrentCellSpace(description)
    base = description.base
    decisions, cell = walk_at_random(space, base, seed)

    assert parse_architecture(cell.to_json()) == cell
    assert space.depth(sampled=12_345) == base
    assert space.decode(decisions, base) == cell
    assert space.encode(cell) == decisions


@settings(deadline=None)
@given(specs, st.integers(0, 2**32), st.data())
def test_mirror_images_of_a_cell_are_in_the_space_too(
    description: spec.RecurrentCellSpace, seed: int, data: st.DataObject
) -> None:
    space = RecurrentCellSpace(description)
    _, cell = walk_at_random(space, description.base, seed)
    assert isinstance(cell, RecurrentCell)
    for image in (mirrored(cell, data.draw), cell.canonical()):
        decoded = space.decode(space.encode(image), description.base)
        assert decoded == image
        assert decoded.digest == cell.digest


def test_a_tree_is_decided_node_by_node_then_how_the_memory_enters_and_where_it_leaves_and_enters() -> None:
    space = build_space(spec.SearchSpace(type="RecurrentCell", recurrent_cell=spec.RecurrentCellSpace(base=2)))
    # The example of the paper (figure 5): the leaves are tanh(W x + U h) and relu(W x * U h), the root
    # sigmoid(a0 * a1); the former memory enters at leaf 0 through relu(a0 + c), and leaf 1 gives the new one.
    decisions = (0, 1, 1, 3, 1, 2, 0, 3, 1, 0)

    assert names(space, decisions, 2) == [
        *["combination", "activation"] * 3, "injectCombination", "injectActivation", "memoryIndex", "injectIndex"
    ]  # fmt: skip
    assert space.decode(decisions, 2) == RecurrentCell(
        nodes=(
            CellNode(combination="add", activation="tanh"),
            CellNode(combination="multiply", activation="relu"),
            CellNode(combination="multiply", activation="sigmoid"),
        ),
        inject=CellNode(combination="add", activation="relu"),
        memory_index=1,
        inject_index=0,
    )


def test_the_default_space_is_the_papers() -> None:
    space = build_space(spec.SearchSpace(type="RecurrentCell"))

    assert space.kinds == (
        Kind("combination", 2),
        Kind("activation", 4),
        Kind("injectCombination", 2),
        Kind("injectActivation", 4),
        Kind("memoryIndex", 15),
        Kind("injectIndex", 15),
    )


def test_well_known_cells_are_in_the_papers_space() -> None:
    for cell in (NAS_CELL, LSTM_CELL, LSTM_CELL_OF_BASE_4):
        space = RecurrentCellSpace(spec.RecurrentCellSpace(base=cell.base))
        assert space.decode(space.encode(cell), cell.base) == cell


def test_a_single_choice_is_no_decision() -> None:
    space = RecurrentCellSpace(spec.RecurrentCellSpace(base=2, combinations=("add",), activations=("tanh",)))

    assert [kind.name for kind in space.kinds] == ["memoryIndex", "injectIndex"]
    assert space.decode((2, 1), 2).to_json() == RecurrentCell(
        nodes=(CellNode(combination="add", activation="tanh"),) * 3,
        inject=CellNode(combination="add", activation="tanh"),
        memory_index=2,
        inject_index=1,
    ).to_json()  # fmt: skip


def test_its_size_is_the_number_of_its_sequences_of_decisions() -> None:
    description = spec.RecurrentCellSpace(base=2, combinations=("add", "max"), activations=("tanh", "sin"))
    assert len(list(every_architecture(RecurrentCellSpace(description), 2))) == description.size()


@pytest.mark.parametrize("depth", [0, 4, 9])
def test_a_cell_of_another_base_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"a cell of base {depth} is not in the space: base is 8"):
        RecurrentCellSpace(spec.RecurrentCellSpace()).decode((), depth)


SINE = CellNode(combination="max", activation="sin")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (LSTM_CELL_OF_BASE_4, "the cell has base 4, and the base of the space is 8"),
        (
            NAS_CELL.model_copy(update={"nodes": (*NAS_CELL.nodes[:14], SINE)}),
            "node 14: combination is max, not one of add, multiply",
        ),
        (
            NAS_CELL.model_copy(update={"inject": CellNode(combination="add", activation="sin")}),
            "inject: activation is sin, not one of identity, tanh, sigmoid, relu",
        ),
        (
            ConvNet(layers=(Layer(operation=Convolution(filter_height=1, filter_width=1, filters=1)),)),
            "the architecture is a ConvNet, and the space has architectures of type RecurrentCell",
        ),
    ],
)
def test_what_is_outside_the_space_is_refused_by_node_and_field(
    architecture: RecurrentCell | ConvNet, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RecurrentCellSpace(spec.RecurrentCellSpace()).encode(architecture)
