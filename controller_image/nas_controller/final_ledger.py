"""`FinalLedger`: which trainings the second stage is made of, which one goes out next, and what came of them.

Pure state, without clock, files or threads.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas_controller.best_trainings import best_of_all, best_trainings, describe_training
from nas_controller.journal.journal import FinalTrainingRecord, PlannedTraining, SampledTrial, TrialState


@dataclass(slots=True)
class OpenTraining:
    """A training of the plan that has no result."""

    planned: PlannedTraining
    sampled: SampledTrial
    lost: int = 0  # workers that were lost with it
    holder: str | None = None  # the lease that holds it
    last: str = ""  # the lease that held it last


class FinalLedger:
    """The trainings of the plan, and the results of this and of former plans."""

    def __init__(self) -> None:
        """Starts empty."""
        self.results: dict[int, FinalTrainingRecord] = {}
        """By the number of the training, of every plan."""
        self._planned: tuple[PlannedTraining, ...] = ()
        self._open: dict[int, OpenTraining] = {}
        self._pending: deque[OpenTraining] = deque()

    def follow(
        self,
        plan: Sequence[PlannedTraining],
        sampled: Mapping[int, SampledTrial],
        lost: Mapping[int, int],
        holders: Mapping[int, str],
    ) -> None:
        """Makes a plan the one that is followed.

        Args:
            plan: its trainings, in the order in which they are to go out. What has a result is not trained again.
            sampled: the trials that they are of, by number.
            lost: how many workers were lost with each training.
            holders: the lease that holds a training.
        """
        self._planned = tuple(plan)
        self._open = {
            each.training: OpenTraining(
                each,
                sampled[each.trial],
                lost.get(each.training, 0),
                holders.get(each.training),
                last=holders.get(each.training, ""),
            )
            for each in plan
            if each.training not in self.results
        }
        self._pending = deque(training for training in self._open.values() if training.holder is None)

    @property
    def total(self) -> int:
        """Trainings of the plan."""
        return len(self._planned)

    @property
    def finished(self) -> int:
        """Trainings of the plan that have a result."""
        return self.total - len(self._open)

    @property
    def pending(self) -> int:
        """Trainings that wait for a worker."""
        return len(self._pending)

    def next_pending(self) -> OpenTraining | None:
        """The training that should go out next."""
        return self._pending[0] if self._pending else None

    def get(self, training: int) -> OpenTraining | None:
        """The training of that number, if it is of the plan and has no result."""
        return self._open.get(training)

    def hold(self, training: OpenTraining, lease: str) -> None:
        """A lease takes a pending training."""
        self._pending.remove(training)
        training.holder = training.last = lease

    def give_back(self, training: OpenTraining, *, lost: bool) -> None:
        """A held training waits for a worker again, before the others."""
        training.holder = None
        training.lost += lost
        self._pending.appendleft(training)

    def finish(self, training: OpenTraining, record: FinalTrainingRecord) -> None:
        """A held or pending training has its result."""
        self.results[training.planned.training] = record
        del self._open[training.planned.training]
        if training.holder is None:
            self._pending.remove(training)

    def records(self) -> list[FinalTrainingRecord]:
        """The results, and the trainings of the plan that have none, by number."""
        waiting = (
            FinalTrainingRecord(each.planned, True, TrialState.LEASED if each.holder else TrialState.PENDING, each.lost)
            for each in self._open.values()
        )
        return sorted([*self.results.values(), *waiting], key=lambda record: record.planned.training)

    def best_trainings(self) -> dict[int, FinalTrainingRecord]:
        """By trial, the training that counts of each that has one that succeeded."""
        return best_trainings(self.results.values())

    def best_of_all(self) -> FinalTrainingRecord | None:
        """The training with the highest reward, those of former plans included, if one has succeeded."""
        return best_of_all(self.results.values())

    def outcome(self) -> str:
        """What came of a plan all of whose trainings have a result, for a person."""
        if not self._planned:
            return "no trial has succeeded, so there is no final training"
        results = [self.results[planned.training] for planned in self._planned]
        failed = sum(record.state is TrialState.FAILED for record in results)
        if failed == len(results):
            first = results[0]
            return f"all {failed} final trainings failed, the first with {first.reason}: {first.message}"
        best = self.best_of_all()
        assert best is not None
        return f"final training: {describe_training(best)}" + (f"; {failed} of {len(results)} failed" if failed else "")
