"""`Replay`: recorded decisions as index tensors, so that a policy can score a whole batch of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_controller.proposal import Proposal
from nas_controller.spaces import Kind, Space


class Vocabulary:
    """Numbers every choice of every kind of decision.

    Attributes:
        ranges: for each kind the numbers of its choices; empty for anchors.
        choices: how many choices there are in all.
        anchor: the token that stands for an anchor.
        start: the token before the first decision.
        most_anchors: the most anchors that there can be before one; 0 without anchors.
    """

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.ranges: list[slice] = []
        self.choices = 0
        for kind in kinds:
            size = 0 if kind.anchor else kind.choices
            self.ranges.append(slice(self.choices, self.choices + size))
            self.choices += size
        self.anchor = self.choices
        self.start = self.choices + 1
        self.most_anchors = max((kind.choices for kind in kinds if kind.anchor), default=0)


@dataclass(frozen=True, slots=True)
class Replay:
    """A batch of m proposals of at most T decisions each.

    A position is `t * m + proposal`, the place of step t of a proposal in a flat view of [T, m, ...]. Choices are all
    decisions but anchors. A pair is one bit of an anchor: whether the layer at `pair_later` takes the one at
    `pair_earlier`.
    """

    tokens: Tensor  # [T + 1, m]: what enters at each step, and after the last
    choice_positions: Tensor  # [choices]
    choice_kinds: Tensor  # [choices]
    choice_tokens: Tensor  # [choices]
    anchor_positions: Tensor  # [anchors]
    anchor_bits: Tensor  # [anchors, most anchors before one], bool
    pair_earlier: Tensor  # [pairs], indices of anchors
    pair_later: Tensor  # [pairs], indices of anchors
    pair_bits: Tensor  # [pairs], bool
    decisions: Tensor  # [m]: choices and bits of each proposal
    made: Tensor  # [T, m], bool: which decisions there are


def prepare(space: Space, vocabulary: Vocabulary, proposals: Sequence[Proposal]) -> Replay:
    """The index tensors of a batch of at least one proposal.

    Raises:
        ValueError: a proposal is not of this space.
    """
    count = len(proposals)
    longest = max(len(proposal.decisions) for proposal in proposals)
    tokens = np.full((max(longest, 1) + 1, count), vocabulary.start, dtype=np.int64)
    made = np.zeros((max(longest, 1), count), dtype=np.bool_)
    choices: list[tuple[int, int, int]] = []
    anchors: list[int] = []
    anchor_bits, earlier, later, pair_bits, pair_proposals = [], [], [], [], []
    for index, proposal in enumerate(proposals):
        steps, _ = space.trace(proposal.decisions, proposal.depth)
        entering: list[int] = []
        masks: list[int] = []
        first = len(anchors)
        for time, (step, decision) in enumerate(zip(steps, proposal.decisions, strict=True)):
            position = time * count + index
            if space.kinds[step.kind].anchor:
                anchors.append(position)
                masks.append(decision)
                entering.append(vocabulary.anchor)
            else:
                token = vocabulary.ranges[step.kind].start + decision
                choices.append((position, step.kind, token))
                entering.append(token)
        tokens[1 : len(entering) + 1, index] = entering
        made[: len(entering), index] = True
        bits = _unpack(masks, vocabulary.most_anchors)
        i, j = _pairs(len(masks))
        anchor_bits.append(bits)
        later.append(first + i)
        earlier.append(first + j)
        pair_bits.append(bits[i, j])
        pair_proposals.append(np.full(len(i), index))
    columns = torch.tensor(choices, dtype=torch.int64).view(-1, 3).T
    owners = torch.from_numpy(np.concatenate(pair_proposals))
    return Replay(
        tokens=torch.from_numpy(tokens),
        choice_positions=columns[0],
        choice_kinds=columns[1],
        choice_tokens=columns[2],
        anchor_positions=torch.tensor(anchors, dtype=torch.int64),
        anchor_bits=torch.from_numpy(np.concatenate(anchor_bits)),
        pair_earlier=torch.from_numpy(np.concatenate(earlier)),
        pair_later=torch.from_numpy(np.concatenate(later)),
        pair_bits=torch.from_numpy(np.concatenate(pair_bits)),
        decisions=torch.bincount(torch.cat([columns[0] % count, owners]), minlength=count),
        made=torch.from_numpy(made),
    )


@cache
def _pairs(anchors: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each anchor i with each anchor j before it."""
    return np.tril_indices(anchors, -1)


def _unpack(masks: Sequence[int], width: int) -> NDArray[np.bool_]:
    """Bit j of mask i at [i, j]. A mask has up to 99 bits, more than an integer of numpy holds."""
    size = -(-width // 8)
    packed = np.frombuffer(b"".join(mask.to_bytes(size, "little") for mask in masks), np.uint8)
    return np.unpackbits(packed.reshape(len(masks), size), axis=1, count=width, bitorder="little").view(np.bool_)
