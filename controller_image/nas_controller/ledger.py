"""`Ledger`: which batch each unfinished architecture belongs to, which one goes out next, which batch is learnt next.

Pure state, without clock, files or threads. The rules of the parameter-server scheme (paper, section 3.2) that concern
the order of things are here: K replicas, batches of m, and the bound on the version lag.
"""

from bisect import bisect
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from nas_controller.journal.journal import FirstTraining, SampledTrial
from nas_controller.proposal import Rewarded


@dataclass(slots=True)
class OpenTrial:
    """A trial of a batch whose update has not been made."""

    sampled: SampledTrial
    lost: int = 0  # workers that were lost with it
    holder: str | None = None  # the lease that holds it
    reward: float | None = None  # once it has finished
    complete: bool = True  # its reward is that of a full training
    first: FirstTraining | None = None  # the cheap one, if it was promoted
    waits: bool = False  # for the result of a twin: see `Twins`

    @property
    def pending(self) -> bool:
        """Whether it waits for a worker."""
        return self.holder is None and self.reward is None and not self.waits


@dataclass(slots=True)
class Batch:
    """The architectures that one replica sampled at one version of the policy."""

    number: int
    version: int
    trials: list[OpenTrial]
    # Of the trials, once the batch is in the ledger:
    unfinished: int = 0
    pending: deque[OpenTrial] = field(default_factory=deque)

    def rewarded(self) -> list[Rewarded]:
        """Proposals and rewards in the order in which they were sampled. All must have finished."""
        return [Rewarded(t.sampled.proposal, t.reward, t.complete) for t in self.trials if t.reward is not None]


class Ledger:
    """The open batches of a search, those whose update has not been made."""

    def __init__(self, replicas: int | None, max_version_lag: int | None) -> None:
        """Starts empty.

        Args:
            replicas: K, the most batches open at once; None: no bound (`auto`).
            max_version_lag: most updates between the sampling of a batch and its own update; None: no bound.
        """
        self._replicas = replicas
        self._max_version_lag = max_version_lag
        self._batches: dict[int, Batch] = {}
        self._trials: dict[int, OpenTrial] = {}
        self._with_pending: dict[int, Batch] = {}
        self._complete: list[Batch] = []  # in the order in which they were completed
        self.pending = 0
        self.held = 0
        self.waiting = 0

    @property
    def batches(self) -> Iterable[Batch]:
        """The open batches."""
        return self._batches.values()

    @property
    def complete(self) -> int:
        """Batches all of whose trials have finished."""
        return len(self._complete)

    def add(self, batch: Batch) -> None:
        """Opens a batch."""
        batch.unfinished = sum(trial.reward is None for trial in batch.trials)
        batch.pending = deque(trial for trial in batch.trials if trial.pending)
        self._batches[batch.number] = batch
        self._trials.update({trial.sampled.trial: trial for trial in batch.trials})
        self.pending += len(batch.pending)
        self.held += sum(trial.holder is not None for trial in batch.trials)
        self.waiting += sum(trial.waits for trial in batch.trials)
        if batch.pending:
            self._with_pending[batch.number] = batch
        if batch.unfinished == 0:
            self._complete.append(batch)

    def get(self, trial: int) -> OpenTrial | None:
        """The trial of that number, if its batch is open."""
        return self._trials.get(trial)

    def room(self) -> int | None:
        """How many more batches may be sampled now. None: any number.

        With a bound L on the lag no more than L + 1 batches can be open: made one after the other, the last of more
        would lag by more.
        """
        bounds = [] if self._replicas is None else [self._replicas]
        if self._max_version_lag is not None:
            bounds.append(self._max_version_lag + 1)
        return max(0, min(bounds) - len(self._batches)) if bounds else None

    def next_pending(self) -> OpenTrial | None:
        """The trial that should go out next: of the batch that is nearest to completion, the older one among equals."""
        batch = min(self._with_pending.values(), key=lambda b: (b.unfinished, b.number), default=None)
        return batch.pending[0] if batch else None

    def hold(self, trial: OpenTrial, lease: str) -> None:
        """A lease takes a pending trial."""
        self._take(trial)
        trial.holder = lease
        self.held += 1

    def give_back(self, trial: OpenTrial, *, lost: bool) -> None:
        """A held trial waits for a worker again, before the others of its batch."""
        trial.holder = None
        trial.lost += lost
        self.held -= 1
        self._put_back(trial)

    def let_out(self, trial: OpenTrial) -> None:
        """A trial that waited for its twin waits for a worker now."""
        trial.waits = False
        self.waiting -= 1
        self._put_back(trial)

    def _put_back(self, trial: OpenTrial) -> None:
        batch = self._batches[trial.sampled.batch]
        # In the order of their numbers, as after a restart.
        place = bisect([each.sampled.trial for each in batch.pending], trial.sampled.trial)
        batch.pending.insert(place, trial)
        self._with_pending[batch.number] = batch
        self.pending += 1

    def finish(self, trial: OpenTrial, reward: float, *, complete: bool = True) -> None:
        """A held, pending or waiting trial has its reward, of a `complete` training or of one that was stopped."""
        batch = self._batches[trial.sampled.batch]
        if trial.waits:
            trial.waits = False
            self.waiting -= 1
        elif trial.holder is None:
            self._take(trial)
        else:
            trial.holder = None
            self.held -= 1
        trial.reward = reward
        trial.complete = complete
        batch.unfinished -= 1
        if batch.unfinished == 0:
            self._complete.append(batch)

    def _take(self, trial: OpenTrial) -> None:
        """A pending trial does not wait any more."""
        batch = self._batches[trial.sampled.batch]
        batch.pending.remove(trial)
        if not batch.pending:
            del self._with_pending[batch.number]
        self.pending -= 1

    def next_complete(self, version: int, most: int = 1) -> list[Batch]:
        """The batches, at most `most`, whose updates should be made next, when the policy is at `version`.

        Batches are taken in the order in which they were completed. With a bound L on the lag a batch sampled at
        version v must be made into one of the updates v + 1 ... v + L + 1, so one that would leave too little room for
        the others waits (earliest deadline first decides whether room is left). Stale synchronous parallel (Ho et al.
        2013) bounds staleness too, but makes fast workers wait; here only the update waits.
        """
        if self._max_version_lag is None:
            return self._complete[:most]
        for batch in self._complete:
            others = sorted(b.version for b in self._batches.values() if b is not batch)
            if all(version + 1 + i - v <= self._max_version_lag for i, v in enumerate(others)):
                return [batch]
        if len(self._complete) == len(self._batches):
            # More are open than a bound that was lowered allows: they cannot all keep it, and nothing is worth waiting.
            return sorted(self._complete, key=lambda batch: batch.version)[:1]
        return []

    def remove(self, number: int) -> None:
        """The update of a complete batch has been made."""
        batch = self._batches.pop(number)
        self._complete.remove(batch)
        for trial in batch.trials:
            del self._trials[trial.sampled.trial]
