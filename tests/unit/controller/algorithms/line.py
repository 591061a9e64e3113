"""`Line`: a small space without a structure of its own, in which everything can be looked at."""

import itertools
from collections.abc import Generator

from nas_api.architectures import Architecture, Decision, Discrete
from nas_controller.proposal import Proposal
from nas_controller.spaces import Kind, Space, Step


class Line(Space):
    """`length` decisions, each with the same number of choices."""

    def __init__(self, length: int, choices: int, *, ordered: bool = True) -> None:
        self.kinds = tuple(Kind(f"decision{index}", choices, ordered=ordered) for index in range(length))

    def depth(self, sampled: int) -> int:
        return 1

    def walk(self, depth: int) -> Generator[Step, int, Architecture]:
        decisions = []
        for index, kind in enumerate(self.kinds):
            decisions.append(Decision(name=kind.name, value=(yield Step(index))))
        return Discrete(decisions=tuple(decisions))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        assert isinstance(architecture, Discrete)
        return tuple(int(decision.value) for decision in architecture.decisions)

    def all(self) -> list[Proposal]:
        """Every proposal of the space."""
        return [Proposal(made, 1) for made in itertools.product(*(range(kind.choices) for kind in self.kinds))]


LINE = Line(length=3, choices=5)
