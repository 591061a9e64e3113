"""`RecurrentCell`: cells of recurrent networks as binary trees with a memory (paper, section 3.4).

A cell of base N takes the input x, the former output h and the former memory c of one step. Each of its N leaves is
activation(combination(W_x x, W_h h)) with weights of its own, each of its N - 1 inner nodes is
activation(combination(left, right)). The former memory enters at one node, whose output a becomes
inject.activation(inject.combination(a, c)); the value of one node before its activation is the new memory; the output
of the root is the new h.

Any node may give the memory. One that the injected memory does not reach gives a memory that is written anew at each
step from x and h alone: such a cell still has a memory of one step, which enters where it is injected.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from nas_api.architectures.canonical_form import CanonicalForm
from nas_api.spec.base import SpecModel
from nas_api.spec.search_space import ActivationName, CombinationName

MOST_LEAVES = 64


class CellNode(SpecModel):
    """How a node makes one value of two: activation(combination(a, b)), element by element."""

    combination: CombinationName
    activation: ActivationName


@cache
def children_in_tree(base: int) -> tuple[tuple[int, int], ...]:
    """The two children of each inner node of a tree of `base` leaves, in the order of the inner nodes.

    Nodes are numbered from the leaves up, level by level. Neighbours of a level have a common parent; an odd last one
    goes up to the next level as it is. The root is the last node.
    """
    level = list(range(base))
    children: list[tuple[int, int]] = []
    while len(level) > 1:
        odd = level[len(level) // 2 * 2 :]
        pairs = list(zip(level[::2], level[1::2], strict=False))
        first = base + len(children)
        children += pairs
        level = [*range(first, first + len(pairs)), *odd]
    return tuple(children)


class RecurrentCell(CanonicalForm):
    """A cell of a recurrent network."""

    type: Literal["RecurrentCell"] = "RecurrentCell"
    nodes: Annotated[tuple[CellNode, ...], Field(min_length=3, max_length=2 * MOST_LEAVES - 1)]
    """The N leaves, then the inner nodes as `children_in_tree` numbers them, the root last: 2N - 1 of them."""
    inject: CellNode
    """How the former memory enters."""
    memory_index: Annotated[int, Field(ge=0)]
    """The node whose value before its activation (and before anything is injected) is the new memory."""
    inject_index: Annotated[int, Field(ge=0)]
    """The node whose output takes in the former memory."""

    @model_validator(mode="after")
    def _is_a_tree(self) -> Self:
        count = len(self.nodes)
        if count % 2 == 0:
            raise ValueError(f"{count} nodes: a tree of N leaves has 2N - 1, an odd number")
        for name, index in (("memoryIndex", self.memory_index), ("injectIndex", self.inject_index)):
            if index >= count:
                raise ValueError(f"{name} is {index}: the nodes are numbered from 0 to {count - 1}")
        return self

    @property
    def base(self) -> int:
        """N, the number of leaves."""
        return (len(self.nodes) + 1) // 2

    def children(self, node: int) -> tuple[int, int] | None:
        """The nodes that a node combines, left and right; None of a leaf, which combines W_x x and W_h h."""
        return children_in_tree(self.base)[node - self.base] if node >= self.base else None

    @cached_property
    def _canonical(self) -> "RecurrentCell":
        # Of each node what is below it, and how many leaves, mirror images being the same.
        forms: list[tuple[int, str]] = []
        order: dict[int, tuple[int, int]] = {}
        for index, node in enumerate(self.nodes):
            marks = f"{'m' * (index == self.memory_index)}{'i' * (index == self.inject_index)}"
            text = f"{node.combination} {node.activation} {marks}"
            pair = self.children(index)
            if pair is None:
                forms.append((1, text))
                continue
            left, right = pair
            # Subtrees of different size cannot change places: where the larger one stands is a matter of the base.
            if forms[left][0] == forms[right][0] and forms[left][1] > forms[right][1]:
                left, right = right, left
            order[index] = (left, right)
            forms.append((forms[left][0] + forms[right][0], f"{text}({forms[left][1]},{forms[right][1]})"))

        old_of = {len(self.nodes) - 1: len(self.nodes) - 1}
        for new in reversed(range(self.base, len(self.nodes))):
            for below, old in zip(children_in_tree(self.base)[new - self.base], order[old_of[new]], strict=True):
                old_of[below] = old
        new_of = {old: new for new, old in old_of.items()}
        return RecurrentCell(
            nodes=tuple(self.nodes[old_of[new]] for new in range(len(self.nodes))),
            inject=self.inject,
            memory_index=new_of[self.memory_index],
            inject_index=new_of[self.inject_index],
        )

    def canonical(self) -> "RecurrentCell":
        """The same cell with its branches in canonical order: equal for mirror images.

        All combinations commute, so that the two children of a node may change places.
        """
        return self._canonical


_COMBINATIONS: dict[str, CombinationName] = {"+": "add", "*": "multiply"}
_ACTIVATIONS: dict[str, ActivationName] = {name: name for name in get_args(ActivationName)}


def _nodes(words: str) -> Sequence[CellNode]:
    """Nodes written as `+sigmoid *identity`."""
    return [CellNode(combination=_COMBINATIONS[w[0]], activation=_ACTIVATIONS[w[1:]]) for w in words.split()]


# The cell of TensorFlow's NASCell, found by the paper's search (paper, appendix).
NAS_CELL = RecurrentCell(
    nodes=(
        *_nodes("+sigmoid +relu +sigmoid *relu +tanh +sigmoid +tanh +sigmoid"),
        *_nodes("*tanh +tanh *tanh +sigmoid *identity +tanh *tanh"),
    ),
    inject=CellNode(combination="add", activation="tanh"),
    memory_index=12,
    inject_index=8,
)

# The LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) as a cell of base 8. Node 8 is the
# input gate (leaf 0) times the candidate (leaf 1); node 9 the forget gate, which the former memory is multiplied into;
# node 12 their sum, the new memory; node 13 the output gate. A gate that is a sigmoid of a sum of leaves is a gate with
# the sum of their weights: of two leaves in the forget gate, of four in the output gate.
LSTM_CELL = RecurrentCell(
    nodes=(
        *_nodes("+sigmoid +tanh +identity +identity +identity +identity +identity +identity"),
        *_nodes("*identity +sigmoid +identity +identity +tanh +sigmoid *identity"),
    ),
    inject=CellNode(combination="multiply", activation="identity"),
    memory_index=12,
    inject_index=9,
)

# What of the LSTM fits into base 4: c' = f c + g and h' = o tanh(c'), the LSTM without input gate ("NIG" in Greff et
# al. 2017). Leaf 0 is the forget gate, leaf 1 the candidate, node 5 the output gate, of two leaves.
LSTM_CELL_OF_BASE_4 = RecurrentCell(
    nodes=(
        *_nodes("+sigmoid +tanh +identity +identity"),
        *_nodes("+tanh +sigmoid *identity"),
    ),
    inject=CellNode(combination="multiply", activation="identity"),
    memory_index=4,
    inject_index=0,
)
