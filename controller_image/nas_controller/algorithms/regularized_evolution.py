"""`RegularizedEvolution`: aging evolution (Real et al. 2019, algorithm 1)."""

import random
from collections import deque
from collections.abc import Sequence

from nas_api import spec

from nas_controller.algorithms.history_based import HistoryBased
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import Space
from nas_controller.spaces.neighbors import fit, mutation, random_proposal

_TRIES = 100
"""Mutations looked at for one that has not been recorded before."""


class RegularizedEvolution(HistoryBased):
    """The population is the P architectures that finished last: each dies of age, however good it is.

    The first P proposals are random. Each later one is a mutation of the best of S members drawn with replacement, one
    decision changed. Unlike in the paper, a child that has been recorded before is not proposed again: another one is
    bred, unless a hundred in a row are known.

    Where a schedule asks for another depth, a parent's decisions are kept as far as they go, and the rest is drawn.
    """

    def __init__(self, space: Space, controller: spec.Controller) -> None:
        self._settings = controller.algorithm.regularized_evolution
        super().__init__(space)

    def _begin(self) -> None:
        super()._begin()
        self._population: deque[Rewarded] = deque(maxlen=self._settings.population_size)
        self._recorded = 0

    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """`count` proposals: random ones as long as fewer than P are recorded, children of the population then."""
        generator = random.Random(seed)  # noqa: S311 - not for security
        proposals: list[Proposal] = []
        for _ in range(count):
            for _ in range(_TRIES):
                child = self._child(self._recorded + len(proposals), depth, generator)
                if not self._known(child) and child not in proposals:
                    break
            proposals.append(child)
        return proposals

    def _child(self, recorded: int, depth: int, generator: random.Random) -> Proposal:
        # Where more are in training than the population can have, the first results may come late.
        if recorded < self._settings.population_size or not self._population:
            return random_proposal(self._space, depth, generator)
        tournament = generator.choices(self._population, k=self._settings.tournament_size)
        parent = max(tournament, key=lambda member: member.reward).proposal
        if parent.depth != depth:
            steps, _ = self._space.trace(parent.decisions, parent.depth)
            parent = fit(self._space, depth, (), list(zip(steps, parent.decisions, strict=True)), generator)
        return mutation(self._space, parent, generator)

    def recorded(self, proposals: Sequence[Proposal]) -> None:
        """Takes note of the proposals that will be trained."""
        super().recorded(proposals)
        self._recorded += len(proposals)

    def _learn(self, rewarded: Rewarded) -> None:
        self._population.append(rewarded)
