"""`Features`: architectures as binary vectors whose differences count the decisions in which they differ."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_controller.proposal import Proposal
from nas_controller.spaces import Space, Step

# Up to so many slots, each has a length scale of its own; of more, those of a kind share one.
_MOST_SINGLE_SLOTS = 24


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a decision stands: the kind and how many of that kind came before; of an anchor, also which earlier one."""

    kind: int
    occurrence: int
    earlier: int = -1


class Features:
    """A set of architectures of one space, made comparable.

    Decisions are compared slot by slot: the third filter height of one architecture with the third of another, the bit
    with which layer 5 takes layer 2 with the same bit. A slot that an architecture does not have, since it is shallower
    or decided otherwise before, differs from every choice.

    Slots are in groups that share a length scale: each slot by itself, or all those of a kind.

    Attributes:
        groups: the names of the groups: the same for the same group of another set of architectures.
        slots: how many slots there are.
        ordered: whether there are choices on a scale, of more than two points.
        single: whether each slot is a group by itself.
    """

    def __init__(self, space: Space, proposals: Sequence[Proposal], *, single: bool | None = None) -> None:
        """Traces `proposals`.

        Args:
            space: that they are of.
            proposals: architectures.
            single: whether each slot is a group by itself. None: if there are few slots.

        Raises:
            ValueError: one of them is not of this space.
        """
        self._kinds = space.kinds
        traced = [(space.trace(proposal.decisions, proposal.depth)[0], proposal.decisions) for proposal in proposals]
        # Most architectures take the same steps, and so have the same slots.
        slots_of = {steps: _slots(space, steps) for steps in {steps for steps, _ in traced}}
        slots = sorted(
            {slot for each in slots_of.values() for slot in each}, key=lambda s: (s.kind, s.occurrence, s.earlier)
        )
        columns = {slot: column for column, slot in enumerate(slots)}
        columns_of = {steps: [columns[slot] for slot in each] for steps, each in slots_of.items()}
        # Per architecture and slot the choice made, -1 where there is none. Shape [architectures, slots].
        self._choices = np.full((len(proposals), len(slots)), -1, dtype=np.int16)
        for row, (steps, decisions) in enumerate(traced):
            self._choices[row, columns_of[steps]] = _choices(space, steps, decisions)
        self._slots = slots
        self.ordered = any(self._kinds[slot.kind].ordered and self._kinds[slot.kind].choices > 2 for slot in slots)
        self.single = len(slots) <= _MOST_SINGLE_SLOTS if single is None else single
        names: list[Hashable] = [slot if self.single else slot.kind for slot in slots]
        order = list(dict.fromkeys(names))
        self._groups = np.array([order.index(name) for name in names], dtype=np.int64)
        self.groups: tuple[Hashable, ...] = tuple(order)
        self.slots = len(slots)

    def vectors(self, *, ordinal: bool) -> list[Tensor]:
        """For each group vectors whose squared distances say how far architectures are apart in its slots.

        Args:
            ordinal: choices on a scale are as far apart as they stand there, at most 1; otherwise, and of other kinds,
                different choices are 1 apart. An architecture that lacks a slot is at least 1 from one that has it.

        Returns:
            Tensors of shape [architectures, bits], float64.
        """
        return [
            torch.cat(
                [self._binary(self._choices[:, column], self._slots[column].kind, ordinal) for column in columns], 1
            )
            for columns in (np.flatnonzero(self._groups == group) for group in range(len(self.groups)))
        ]

    def _binary(self, choices: NDArray[np.int16], index: int, ordinal: bool) -> Tensor:
        kind = self._kinds[index]
        count = 2 if kind.anchor else kind.choices
        chosen = torch.from_numpy(choices).unsqueeze(1)
        absent = (chosen < 0).double()
        if ordinal and kind.ordered:
            # As many bits as the choice is high: the squared distance of two is the difference, in steps of the scale.
            steps = max(count - 1, 1)
            return torch.cat([(chosen > torch.arange(steps)).double() / steps**0.5, absent], 1)
        return torch.cat([(chosen == torch.arange(count)).double(), absent], 1) / 2**0.5


def squared_distances(vectors: Tensor) -> Tensor:
    """Of all pairs of rows of `vectors`, shape [rows, rows]."""
    squares = (vectors * vectors).sum(1)
    return (squares.unsqueeze(0) + squares.unsqueeze(1) - 2 * vectors @ vectors.T).clamp_(min=0)


def _slots(space: Space, steps: Sequence[Step]) -> list[_Slot]:
    """The slots that are decided at `steps`, in their order: of an anchor one for each anchor before it."""
    slots: list[_Slot] = []
    occurrences = [0] * len(space.kinds)
    for step in steps:
        occurrence = occurrences[step.kind]
        occurrences[step.kind] += 1
        if space.kinds[step.kind].anchor:
            slots += [_Slot(step.kind, occurrence, j) for j in range(step.predecessors)]
        else:
            slots.append(_Slot(step.kind, occurrence))
    return slots


def _choices(space: Space, steps: Sequence[Step], decisions: Sequence[int]) -> list[int]:
    """What was chosen in each of `_slots`."""
    choices: list[int] = []
    for step, decision in zip(steps, decisions, strict=True):
        if space.kinds[step.kind].anchor:
            choices += [decision >> j & 1 for j in range(step.predecessors)]
        else:
            choices.append(decision)
    return choices
