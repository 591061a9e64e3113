"""`Editor`: makes other decisions in good architectures, where and which as a policy suggests."""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal
from nas_controller.spaces import Space
from nas_controller.spaces.neighbors import edited, fit

# Parameters of geometric distributions: of the rank of a parent, and of the number of its decisions that are edited.
_BEST_FIRST = 0.15
_FEW_EDITS = 0.6


class Editor:
    """Draws edits of some parents, never the same twice.

    A parent is drawn by its rank, the better the likelier, then what of it is decided otherwise: mostly one decision.
    The probability of an edit is that of the policy for the decision at its place, given the decisions before, divided
    by the sum over all edits of the parent, and mixed with a share of uniform ones.
    """

    def __init__(self, space: Space, policy: LSTMPolicy, parents: Sequence[Proposal], exploration: float) -> None:
        """Asks the policy what else it would decide.

        Args:
            space: of the parents.
            policy: at the parameters that it should suggest edits with.
            parents: what to edit, best first; at least one.
            exploration: share of uniform edits, 0 to 1.
        """
        self._space = space
        self._parents = parents
        self._edits: list[tuple[tuple[tuple[int, int], ...], NDArray[np.float64]]] = []
        for alternatives in policy.alternatives(parents):
            suggested = alternatives.probabilities
            uniform = np.full(len(suggested), 1 / max(len(suggested), 1))
            total = suggested.sum()
            mixed = (1 - exploration) * (suggested / total if total > 0 else uniform) + exploration * uniform
            self._edits.append((alternatives.decisions, mixed.cumsum()))
        weights = (1 - _BEST_FIRST) ** np.arange(len(parents))
        self._likely = weights / weights.sum()
        self._drawn: set[tuple[int, frozenset[int]]] = set()

    def draw(self, count: int, depth: int, generator: np.random.Generator) -> list[Proposal]:
        """Draws `count` times and returns what had not been drawn before.

        Where an edit, or another depth, asks for decisions that the parent lacks, they are random.
        """
        proposals = []
        ranks = generator.choice(len(self._parents), count, p=self._likely)
        numbers = generator.geometric(_FEW_EDITS, count)
        for rank, number in zip(ranks.tolist(), numbers.tolist(), strict=True):
            edits, cumulative = self._edits[rank]
            if not edits:  # there is nothing to decide
                continue
            places = np.searchsorted(cumulative, generator.random(number) * cumulative[-1], side="right")
            chosen = frozenset(np.minimum(places, len(edits) - 1).tolist())
            if (rank, chosen) not in self._drawn:
                self._drawn.add((rank, chosen))
                proposals.append(self._edit(self._parents[rank], [edits[index] for index in chosen], depth))
        return proposals

    def _edit(self, parent: Proposal, edits: Sequence[tuple[int, int]], depth: int) -> Proposal:
        # The last place first: what an edit changes comes after it.
        for place, decision in sorted(edits, reverse=True):
            parent = edited(self._space, parent, place, decision)
        if parent.depth != depth:
            steps, _ = self._space.trace(parent.decisions, parent.depth)
            wanted = list(zip(steps, parent.decisions, strict=True))
            parent = fit(self._space, depth, (), wanted, random.Random(repr(parent)))  # noqa: S311 - not for security
        return parent
