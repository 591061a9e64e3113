"""`Twins`: which open trials are of an architecture that has been trained, or is in training (`controller.duplicates`).

Two trials are twins when the canonical digests of their architectures are equal: isomorphic networks are one. Pure
state: what it remembers is in the journal, and is rebuilt from there.
"""

from collections.abc import Iterable

from nas_controller.journal.journal import TrainedResult, TrialState
from nas_controller.ledger import Ledger, OpenTrial

CONVERGED_AFTER = 10_000
"""Trials replayed in a row, none trained between them, that end a search: it proposes nothing new any more."""

# Most trials that wait for a twin before no more are sampled: a policy that has settled on one architecture would fill
# the budget with it while that is trained for the first time.
_MOST_WAITING = 64


class Twins:
    """Tells which trials need no training of their own.

    Of open twins one goes out to be trained, and the others wait for it. With its result they are replayed, also if it
    was stopped; when it fails the next one goes out.
    """

    def __init__(self, ledger: Ledger, results: Iterable[TrainedResult]) -> None:
        """Takes the results so far. What twins are given is the first full one of them, or else the first."""
        self._ledger = ledger
        self._results: dict[str, TrainedResult] = {}
        self._open: dict[str, list[OpenTrial]] = {}
        self.in_a_row = 0
        """Trials that were replayed since one was last trained."""
        for result in results:
            self._add(result)

    def _add(self, result: TrainedResult) -> None:
        known = self._results.get(result.digest)
        if known is None or (known.state, result.state) == (TrialState.STOPPED_EARLY, TrialState.SUCCEEDED):
            self._results[result.digest] = result

    @property
    def room(self) -> bool:
        """Whether more trials may be sampled, although some wait for their twins."""
        return self._ledger.waiting < max(_MOST_WAITING, self._ledger.held)

    def replay(self, trial: OpenTrial) -> TrainedResult:
        """The result that an unheld trial is given in the place of its own."""
        self.in_a_row += 1
        return self._results[trial.sampled.digest]

    def open(self, trial: OpenTrial) -> bool:
        """An unfinished trial appears, before its batch is in the ledger. It waits if a twin of it goes out already.

        Returns:
            Whether its architecture has a result: it is to be replayed.
        """
        digest = trial.sampled.digest
        if trial.holder is None and digest in self._results:
            return True
        twins = self._open.setdefault(digest, [])
        trial.waits = trial.holder is None and any(not twin.waits for twin in twins)
        twins.append(trial)
        return False

    def finish(self, trial: OpenTrial, state: TrialState, reward: float) -> list[OpenTrial]:
        """A trial has been trained. If it has failed, a twin goes out.

        Returns:
            Twins that are to be replayed.
        """
        self.in_a_row = 0
        digest = trial.sampled.digest
        # A search that once trained duplicates may have several of them in training, and replay one of them.
        twins = [twin for twin in self._open.pop(digest, ()) if twin is not trial]
        held = [twin for twin in twins if twin.holder is not None]
        if state is TrialState.FAILED:
            if twins:
                self._open[digest] = twins
            if all(twin.waits for twin in twins):
                for twin in twins[:1]:
                    self._ledger.let_out(twin)
            return []
        self._add(TrainedResult(digest, trial.sampled.trial, state, reward))
        if held:
            self._open[digest] = held
        return [twin for twin in twins if twin.holder is None]
