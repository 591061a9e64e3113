"""`LocalSearch`: best-first local search with restarts (White et al. 2021)."""

import math
import random
from bisect import insort
from collections.abc import Iterator, Sequence

from nas_api import spec

from nas_controller.algorithms.history_based import HistoryBased
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import Space
from nas_controller.spaces.neighbors import count_neighbors, fit, neighbors, random_proposal

_TRIES = 100
"""Random proposals looked at for one that has not been recorded before."""


class LocalSearch(HistoryBased):
    """Climbs from the best of a few random architectures to a local optimum, then starts afresh elsewhere.

    A climb stands on the best architecture that it has found: its neighbours, which differ in one decision, are tried
    in random order, and the first that is better takes its place. When all of them have results, or as many results
    have come in without an improvement, a new climb begins with random architectures. Nothing is proposed twice as long
    as there is anything else.

    Many proposals may be open at once. When the neighbours of the best are all under way, those of the next best of the
    climb are next. A late result that belongs to an earlier climb only counts as known, unless it is the best of all:
    then the search climbs on from there.
    """

    def __init__(self, space: Space, controller: spec.Controller) -> None:
        self._settings = controller.algorithm.local_search
        super().__init__(space)

    def _begin(self) -> None:
        super()._begin()
        self._climb = 0
        self._climb_of: dict[Proposal, int] = {}  # of those that are open
        self._record = -math.inf
        self._start_climb()

    def _start_climb(self) -> None:
        self._climb += 1
        self._found: list[tuple[float, int, Proposal]] = []  # (-reward, number of the result, ...), best first
        self._samples = self._settings.initial_samples  # results to come before there is a best to stand on
        self._without_improvement = 0
        self._neighbors: dict[Proposal, list[Proposal]] = {}  # those that were looked up

    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """`count` proposals, nothing that is open or has finished as long as there is anything else."""
        generator = random.Random(seed)  # noqa: S311 - not for security
        around = self._around(depth, generator)
        proposals: list[Proposal] = []
        for _ in range(count):
            unknown = (each for each in around if not self._known(each) and each not in proposals)
            proposal = next(unknown, None)
            for _ in range(_TRIES if proposal is None else 0):
                proposal = random_proposal(self._space, depth, generator)
                if not self._known(proposal) and proposal not in proposals:
                    break
            assert proposal is not None
            proposals.append(proposal)
        return proposals

    def _around(self, depth: int, generator: random.Random) -> Iterator[Proposal]:
        """The neighbours of the best, of the next best, and so on. Nothing as long as there is no best."""
        if self._samples:
            return
        for _, _, found in self._found:
            centre = found
            if found.depth != depth:  # as a schedule asks for
                steps, _ = self._space.trace(found.decisions, found.depth)
                wanted = list(zip(steps, found.decisions, strict=True))
                centre = fit(self._space, depth, (), wanted, random.Random(repr(found)))  # noqa: S311
                yield centre
            if centre not in self._neighbors:
                self._neighbors[centre] = list(neighbors(self._space, centre))
            yield from generator.sample(self._neighbors[centre], len(self._neighbors[centre]))

    def recorded(self, proposals: Sequence[Proposal]) -> None:
        """Takes note of the proposals that will be trained, and of the climb that they belong to."""
        super().recorded(proposals)
        self._climb_of.update(dict.fromkeys(proposals, self._climb))

    def _learn(self, rewarded: Rewarded) -> None:
        reward, proposal = rewarded.reward, rewarded.proposal
        record, self._record = self._record, max(self._record, reward)
        if self._climb_of.pop(proposal, 0) != self._climb:
            if reward <= record:
                return
            self._start_climb()
            self._samples = 1
        improved = not self._found or -reward < self._found[0][0]
        insort(self._found, (-reward, len(self._found), proposal))
        if self._samples:
            self._samples -= 1
            improved = not self._samples
        if self._samples:
            return
        if improved:
            best = self._found[0][2]
            self._without_improvement = 0
            self._most_without_improvement = count_neighbors(self._space, best)
            self._unchecked = neighbors(self._space, best)
            self._untried = next(self._unchecked, None)
        else:
            self._without_improvement += 1
        while self._untried in self._finished:
            self._untried = next(self._unchecked, None)
        if self._untried is None or self._without_improvement >= self._most_without_improvement:
            self._start_climb()
