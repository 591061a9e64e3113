"""`Space`: a search space as a sequence of decisions that a policy makes one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nas_api.architectures import Architecture, ConvNet, Discrete, RecurrentCell

_A = TypeVar("_A", ConvNet, RecurrentCell, Discrete)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of decision: all decisions of a kind share their softmax and their embedding.

    With `anchor`, a decision picks any subset of the anchors before it (paper, section 3.3): it is a bit mask, bit j
    for anchor j, each bit a Bernoulli choice; `choices` is then the most anchors that there can be before one. The
    first anchor of an architecture has none before it, and 0 is its only decision: nothing is chosen, but the policy's
    hidden state at that step is what later anchors compare themselves with. A space has at most one kind of anchor.

    With `ordered`, the choices are points on a scale, such as numbers of filters, and stand in its order.
    """

    name: str
    choices: int
    anchor: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The next decision: its kind, an index into `Space.kinds`, and for an anchor the number of anchors before it."""

    kind: int
    predecessors: int = 0


def are_ordered(values: Sequence[object]) -> bool:
    """Whether the values of a kind are numbers that only rise, or only fall."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and numbers in (sorted(set(numbers)), sorted(set(numbers), reverse=True))


class Space(ABC):
    """The architectures of a search and the decisions that lead to them."""

    kinds: tuple[Kind, ...]

    @abstractmethod
    def depth(self, sampled: int) -> int:
        """The depth of the next architecture when `sampled` have been proposed before."""

    @abstractmethod
    def walk(self, depth: int) -> Generator[Step, int, Architecture]:
        """The decisions of one architecture: yields each step, is sent its decision, returns the architecture."""

    @abstractmethod
    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The decisions that lead to `architecture`.

        Raises:
            ValueError: the architecture is not in this space; the message says what and where.
        """

    def choices(self, step: Step) -> int:
        """How many decisions are possible at `step`: one of 0 to one less than this."""
        kind = self.kinds[step.kind]
        return 2**step.predecessors if kind.anchor else kind.choices

    def trace(self, decisions: Sequence[int], depth: int) -> tuple[tuple[Step, ...], Architecture]:
        """The step that each of `decisions` belongs to, and the architecture that they lead to.

        Raises:
            ValueError: there are too few or too many decisions, or one is not among its choices.
        """
        steps: list[Step] = []
        walk = self.walk(depth)
        try:
            step = next(walk)
            for decision in decisions:
                choices = self.choices(step)
                if not 0 <= decision < choices:
                    name = self.kinds[step.kind].name
                    raise ValueError(f"decision {len(steps)} ({name}) is {decision}, not one of 0..{choices - 1}")
                steps.append(step)
                step = walk.send(decision)
        except StopIteration as stop:
            architecture: Architecture = stop.value
            if len(decisions) != len(steps):
                raise ValueError(f"{len(decisions)} decisions where {len(steps)} make an architecture") from None
            return tuple(steps), architecture
        raise ValueError(
            f"{len(decisions)} decisions do not make an architecture: {self.kinds[step.kind].name} is next"
        )

    def decode(self, decisions: Sequence[int], depth: int) -> Architecture:
        """The architecture that `decisions` lead to.

        Raises:
            ValueError: there are too few or too many decisions, or one is not among its choices.
        """
        return self.trace(decisions, depth)[1]


def check_type(architecture: Architecture, kind: type[_A]) -> _A:
    """`architecture`, which must be of the type that a space has.

    Raises:
        ValueError: it is of another.
    """
    if isinstance(architecture, kind):
        return architecture
    raise ValueError(
        f"the architecture is a {architecture.type}, and the space has architectures of type {kind.__name__}"
    )
