"""Recurrent cells: the tree of any base, and one digest for all mirror images of a cell."""

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_api.architectures import CellNode, RecurrentCell, parse_architecture
from nas_api.architectures.recurrent_cell import LSTM_CELL, LSTM_CELL_OF_BASE_4, NAS_CELL, children_in_tree
from pydantic import ValidationError

from tests.unit.api.cells import cells, leaves_below, mirrored


def graph(cell: RecurrentCell) -> "networkx.DiGraph[int]":
    result: networkx.DiGraph[int] = networkx.DiGraph(inject=cell.inject)
    for index, node in enumerate(cell.nodes):
        marks = (index == cell.memory_index, index == cell.inject_index)
        result.add_node(index, what=(node.combination, node.activation, *marks))
        result.add_edges_from((child, index) for child in cell.children(index) or ())
    return result


def isomorphic(a: RecurrentCell, b: RecurrentCell) -> bool:
    return a.inject == b.inject and networkx.is_isomorphic(
        graph(a), graph(b), node_match=lambda x, y: x["what"] == y["what"]
    )


class TestTree:
    @settings(deadline=None)
    @given(st.integers(2, 64))
    def test_n_leaves_have_n_minus_1_nodes_above_them_and_every_node_but_the_root_one_parent(self, base: int) -> None:
        children = children_in_tree(base)
        assert len(children) == base - 1
        assert sorted(child for pair in children for child in pair) == list(range(2 * base - 2))
        assert all(max(pair) < base + index for index, pair in enumerate(children))

    @settings(deadline=None)
    @given(st.integers(2, 64))
    def test_it_is_as_flat_as_can_be(self, base: int) -> None:
        depth = [0] * base
        for left, right in children_in_tree(base):
            depth.append(1 + max(depth[left], depth[right]))
        assert depth[-1] == (base - 1).bit_length()

    def test_neighbours_are_paired_level_by_level(self) -> None:
        assert children_in_tree(8) == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13))

    @pytest.mark.parametrize(
        ("base", "children"),
        [
            (2, ((0, 1),)),
            (3, ((0, 1), (3, 2))),
            (5, ((0, 1), (2, 3), (5, 6), (7, 4))),
            (7, ((0, 1), (2, 3), (4, 5), (7, 8), (9, 6), (10, 11))),
        ],
    )
    def test_an_odd_last_one_goes_up_to_the_next_level(self, base: int, children: object) -> None:
        assert children_in_tree(base) == children

    def test_a_leaf_has_no_children(self) -> None:
        assert NAS_CELL.base == 8
        assert [NAS_CELL.children(node) for node in (0, 7, 8, 14)] == [None, None, (0, 1), (12, 13)]


class TestCanonicalForm:
    @settings(deadline=None)
    @given(data=st.data(), cell=cells())
    def test_mirror_images_are_one_cell(self, data: st.DataObject, cell: RecurrentCell) -> None:
        other = mirrored(cell, data.draw)
        assert other.digest == cell.digest
        assert other.canonical() == cell.canonical()

    @settings(deadline=None, max_examples=300)
    @given(a=cells(most=3, combinations=1, activations=2), b=cells(most=3, combinations=1, activations=2))
    def test_digests_are_equal_if_and_only_if_the_trees_are_isomorphic(
        self, a: RecurrentCell, b: RecurrentCell
    ) -> None:
        assert (a.digest == b.digest) == isomorphic(a, b)

    @settings(deadline=None)
    @given(cells())
    def test_the_canonical_form_is_the_same_cell_and_stays_as_it_is(self, cell: RecurrentCell) -> None:
        canonical = cell.canonical()
        assert isomorphic(cell, canonical)
        assert canonical.canonical() == canonical
        assert canonical.digest == cell.digest

    @settings(deadline=None)
    @given(cells())
    def test_it_is_read_back_from_json(self, cell: RecurrentCell) -> None:
        assert parse_architecture(cell.to_json()) == cell

    def test_only_branches_of_one_size_are_mirrored(self) -> None:
        """In a tree of base 3 a leaf stands beside a pair: there is but one way to write that."""
        assert [leaves_below(cells_of_base_3(), child) for child in (3, 2)] == [2, 1]
        assert cells_of_base_3().canonical().nodes[2:] == cells_of_base_3().nodes[2:]


def cells_of_base_3() -> RecurrentCell:
    add = CellNode(combination="add", activation="tanh")
    multiply = CellNode(combination="multiply", activation="tanh")
    return RecurrentCell(nodes=(multiply, add, add, multiply, add), inject=add, memory_index=0, inject_index=0)


class TestWhatIsNoCell:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"nodes": NAS_CELL.nodes[:4]}, "4 nodes: a tree of N leaves has 2N - 1, an odd number"),
            ({"nodes": NAS_CELL.nodes[:1]}, "at least 3 items"),
            ({"memory_index": 15}, "memoryIndex is 15: the nodes are numbered from 0 to 14"),
            ({"inject_index": 99}, "injectIndex is 99: the nodes are numbered from 0 to 14"),
            ({"inject_index": -1}, "greater than or equal to 0"),
        ],
    )
    def test_it_is_refused(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            RecurrentCell.model_validate({**NAS_CELL.model_dump(by_alias=False), **change})

    @pytest.mark.parametrize("node", ['{"combination":"subtract","activation":"tanh"}', '{"combination":"add"}'])
    def test_so_is_a_node_of_another_kind(self, node: str) -> None:
        text = NAS_CELL.to_json().replace('{"combination":"add","activation":"sigmoid"}', node, 1)
        with pytest.raises(ValidationError):
            parse_architecture(text)


@pytest.mark.parametrize(("cell", "base"), [(NAS_CELL, 8), (LSTM_CELL, 8), (LSTM_CELL_OF_BASE_4, 4)])
def test_well_known_cells_are_of_the_base_that_they_are_said_to_be(cell: RecurrentCell, base: int) -> None:
    assert cell.base == base
