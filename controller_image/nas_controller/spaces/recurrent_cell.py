"""`RecurrentCellSpace`: cells of recurrent networks as sequences of decisions (paper, section 3.4)."""

from collections.abc import Generator

from nas_api import spec
from nas_api.architectures import Architecture, CellNode, RecurrentCell

from nas_controller.spaces.space import Kind, Space, Step, check_type


class RecurrentCellSpace(Space):
    """Cells of a fixed base, node after node.

    For each of the 2N - 1 nodes, leaves first, the decisions are its combination and its activation; then, as in the
    paper, how the former memory enters (combination, activation), and two indices of nodes: which gives the new memory,
    and which takes in the former one. A decision with a single choice is none: it is left out.
    """

    def __init__(self, space: spec.RecurrentCellSpace) -> None:
        self._space = space
        self._count = 2 * space.base - 1
        kinds = [
            Kind("combination", len(space.combinations)),
            Kind("activation", len(space.activations)),
            Kind("injectCombination", len(space.combinations)),
            Kind("injectActivation", len(space.activations)),
            Kind("memoryIndex", self._count),
            Kind("injectIndex", self._count),
        ]
        self.kinds = tuple(kind for kind in kinds if kind.choices > 1)
        self._steps = {kind.name: Step(index) for index, kind in enumerate(self.kinds)}
        # Nodes are immutable and few: each is made and checked once.
        self._nodes = {
            (combination, activation): CellNode(combination=combination, activation=activation)
            for combination in space.combinations
            for activation in space.activations
        }

    def depth(self, sampled: int) -> int:  # noqa: ARG002 - there is no schedule
        """The number of leaves, which is always the same."""
        return self._space.base

    def walk(self, depth: int) -> Generator[Step, int, Architecture]:
        """The decisions of a cell.

        Raises:
            ValueError: `depth` is not the space's base.
        """
        if depth != self._space.base:
            raise ValueError(f"a cell of base {depth} is not in the space: base is {self._space.base}")
        nodes = []
        for _ in range(self._count):
            nodes.append((yield from self._walk_node("combination", "activation")))
        inject = yield from self._walk_node("injectCombination", "injectActivation")
        memory_index = yield self._steps["memoryIndex"]
        inject_index = yield self._steps["injectIndex"]
        # What is built of the space's own choices is valid; checking it would take most of the time of sampling.
        return RecurrentCell.model_construct(
            nodes=tuple(nodes), inject=inject, memory_index=memory_index, inject_index=inject_index
        )

    def _walk_node(self, combination: str, activation: str) -> Generator[Step, int, CellNode]:
        first = (yield self._steps[combination]) if combination in self._steps else 0
        second = (yield self._steps[activation]) if activation in self._steps else 0
        return self._nodes[self._space.combinations[first], self._space.activations[second]]

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The decisions that lead to `architecture`; mirror images of one cell have different ones.

        Raises:
            ValueError: the architecture is not in this space; the message names the node and the field.
        """
        cell = check_type(architecture, RecurrentCell)
        if cell.base != self._space.base:
            raise ValueError(f"the cell has base {cell.base}, and the base of the space is {self._space.base}")
        decisions: list[int] = []
        places = [(f"node {index}", node) for index, node in enumerate(cell.nodes)]
        for place, node in (*places, ("inject", cell.inject)):
            for name, value, choices in (
                ("combination", node.combination, self._space.combinations),
                ("activation", node.activation, self._space.activations),
            ):
                if value not in choices:
                    raise ValueError(f"{place}: {name} is {value}, not one of {', '.join(choices)}")
                if len(choices) > 1:
                    decisions.append(list(choices).index(value))
        return (*decisions, cell.memory_index, cell.inject_index)
