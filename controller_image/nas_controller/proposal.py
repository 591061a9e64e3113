"""What an algorithm proposes and what it learns from. On its own, so that the journal can be read without torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture as the decisions that lead to it in the search's space."""

    decisions: tuple[int, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Rewarded:
    """A proposal and the reward that its architecture earned.

    Attributes:
        complete: whether it is that of a full training. One that was stopped early may have earned less than it could.
    """

    proposal: Proposal
    reward: float
    complete: bool = True
