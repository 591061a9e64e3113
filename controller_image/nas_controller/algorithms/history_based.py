"""`HistoryBased`: what the algorithms have in common that know no policy but all of the search's history."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor

from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.history import History
from nas_controller.jobs import Statistics
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import Space


class HistoryBased(Algorithm):
    """An algorithm that is told of each proposal when it is recorded and when it is learnt, also after a restart."""

    uses_history = True

    def __init__(self, space: Space) -> None:
        self._space = space
        self._begin()

    def _begin(self) -> None:
        """Goes to where nothing has been recorded."""
        self._open: Counter[Proposal] = Counter()
        self._finished: set[Proposal] = set()

    def _known(self, proposal: Proposal) -> bool:
        """Whether it has been recorded before: to train it once more would teach nothing."""
        return proposal in self._finished or proposal in self._open

    def recorded(self, proposals: Sequence[Proposal]) -> None:
        """Takes note of the proposals that will be trained."""
        self._open.update(proposals)

    def learn(self, snapshot: Tensor, batch: Sequence[Rewarded]) -> Statistics:
        """Learns from each result by itself, in order."""
        del snapshot
        for rewarded in batch:
            self._open[rewarded.proposal] -= 1
            if self._open[rewarded.proposal] <= 0:
                del self._open[rewarded.proposal]
            self._finished.add(rewarded.proposal)
            self._learn(rewarded)
        return Statistics()

    @abstractmethod
    def _learn(self, rewarded: Rewarded) -> None:
        """Learns from one result."""

    def restore(self, snapshot: Tensor, state: Mapping[str, Tensor], history: History) -> None:
        """Lives through the history.

        Raises:
            ValueError: there is a snapshot or a state: they are of another algorithm.
        """
        super().restore(snapshot, state, history)
        self._begin()
        recorded = [
            (known, each.proposal) for known, each in zip(history.finished_known, history.finished, strict=True)
        ]
        recorded += zip(history.open_known, history.open, strict=True)
        recorded.sort(key=lambda each: each[0], reverse=True)
        for learnt, rewarded in enumerate([*history.finished, None]):
            while recorded and recorded[-1][0] <= learnt:
                self.recorded([recorded.pop()[1]])
            if rewarded is not None:
                self.learn(snapshot, [rewarded])
