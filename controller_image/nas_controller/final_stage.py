"""`FinalStage`: the second stage of a search (`spec.finalTraining`), in which the best architectures are trained again.

It begins when the search has ended well, and says how the search stands until it is done.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from nas_api.spec import NASSearchSpec
from nas_api.spec.base import parse_duration, parse_quantity

from nas_controller.best_trainings import without_series
from nas_controller.final_ledger import FinalLedger, OpenTraining
from nas_controller.final_plan import final_plan
from nas_controller.journal.journal import (
    FactLearned,
    FinalTrainingRecord,
    FinalTrainingsPlanned,
    Journal,
    PlannedTraining,
    SampledTrial,
)
from nas_controller.leases import Leases
from nas_controller.progress import Verdict
from nas_controller.weight_store import WeightStore

FINAL_TRAINING = "FinalTraining"
"""Reason of the verdict RUNNING while the second stage lasts."""
_FACT = "final_training"


class FinalStage:
    """Whether there is a second stage, how far it is, and what it says of the search."""

    def __init__(self, spec: NASSearchSpec, journal: Journal, leases: Leases, weights: WeightStore | None) -> None:
        """Knows nothing before `recover`.

        Args:
            spec: of the search.
            journal: its durable memory.
            leases: of the search, trials' and trainings' together.
            weights: where files are kept. None: there is no second stage, whatever the manifest says.
        """
        self._spec = spec
        self._wanted = spec.final_training if weights is not None else None
        self._journal = journal
        self._leases = leases
        self._weights = weights
        self.ending: Verdict | None = None
        """How the search has ended, once the second stage has begun."""
        self.ledger = FinalLedger()
        self._readable: Future[None] | None = None  # the results of the search; None: they were, and there is a plan

    def recover(self, fact: str) -> None:
        """Takes the stage up where the journal says that it stopped, the leases being known.

        Args:
            fact: what the stage last had written down of itself; empty: nothing.
        """
        known = json.loads(fact) if fact else {}
        self.ending = Verdict(*known["ending"]) if known.get("ending") else None
        records = self._journal.final_trainings()
        self.ledger.results = {
            record.planned.training: without_series(record) for record in records if record.finished_at
        }
        if self.ending is not None:
            if known["planned"]:
                self._follow([record.planned for record in records if record.wanted], records)
            else:
                self._readable = self._journal.write()
        if self._weights is not None:
            best = {record.planned.training for record in self.ledger.best_trainings().values()}
            self._weights.sweep(best, {lease.token for lease in self._leases.held() if lease.training})

    def edited(self, fact: str) -> bool:
        """Whether the manifest asks for another second stage than when it was last looked at."""
        return (json.loads(fact)["spec"] if fact else None) != self._wanted_as_plain()

    def begin(self, ending: Verdict) -> None:
        """The search has ended well, or has ended before and asks for another second stage now.

        The trainings are planned by `plan`: what the best trials are, only the journal knows.
        """
        self.ending = ending
        self._follow((), ())
        self._readable = self._journal.write(self._fact(planned=False))
        if self._wanted is None:
            self._write_plan(())

    def plan(self) -> None:
        """Plans the trainings that have not been done, once all results of the search can be read."""
        if self._readable is None or not self._readable.done():
            return
        records = self._journal.final_trainings()
        plan = final_plan(self._wanted, self._spec.trainer, self._journal, records) if self._wanted is not None else []
        self._follow(plan, records)
        self._write_plan(plan)

    def _follow(self, plan: Sequence[PlannedTraining], records: Iterable[FinalTrainingRecord]) -> None:
        """Makes a plan the one that is followed. `records`: of the trainings, as they can be read."""
        sampled: dict[int, SampledTrial] = {}
        for number in {planned.trial for planned in plan if planned.training not in self.ledger.results}:
            record = self._journal.trial(number)
            assert record is not None
            sampled[number] = record.sampled
        lost = {record.planned.training: record.lost for record in records}
        self.ledger.follow(plan, sampled, lost, {lease.training: lease.token for lease in self._leases.held()})

    def _write_plan(self, plan: Sequence[PlannedTraining]) -> None:
        self._readable = None
        self._journal.write(FinalTrainingsPlanned(tuple(plan)), self._fact(planned=True))

    def leave(self) -> None:
        """The search goes on: the stage begins again when it ends again."""
        self.ending = self._readable = None
        self._follow((), ())
        self._journal.write(self._fact(planned=False))

    def settle(self) -> None:
        """The search has ended otherwise: only another manifest begins the stage."""
        self._journal.write(self._fact(planned=False))

    def _fact(self, *, planned: bool) -> FactLearned:
        ending = self.ending
        known = {
            "ending": None if ending is None else [ending.state, ending.reason, ending.message],
            "planned": planned,
            "spec": self._wanted_as_plain(),
        }
        return FactLearned(_FACT, json.dumps(known))

    def _wanted_as_plain(self) -> object:
        return None if self._wanted is None else self._wanted.resolved(self._spec.trainer)

    # How far it is. -------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """How a search stands whose second stage has begun."""
        assert self.ending is not None
        if self._readable is not None:
            return Verdict("RUNNING", FINAL_TRAINING, f"{self.ending.message}; final training of the best")
        if self.finished < self.total:
            message = f"{self.ending.message}; final training of the best, {self.finished} of {self.total} are done"
            return Verdict("RUNNING", FINAL_TRAINING, message)
        outcome = "" if self._wanted is None else f"; {self.ledger.outcome()}"
        return Verdict("SUCCEEDED", self.ending.reason, f"{self.ending.message}{outcome}")

    @property
    def done(self) -> bool:
        """Whether every training of the plan has a result."""
        return self._readable is None and self.finished == self.total

    @property
    def total(self) -> int:
        """Trainings of the plan."""
        return self.ledger.total

    @property
    def finished(self) -> int:
        """Trainings of the plan that have a result."""
        return self.ledger.finished

    @property
    def pending(self) -> int:
        """Trainings that wait for a worker."""
        return self.ledger.pending

    def get(self, training: int) -> OpenTraining | None:
        """The training of that number, if it is of the plan and has no result."""
        return self.ledger.get(training)

    def best(self, trial: int) -> FinalTrainingRecord | None:
        """The training of a trial that counts, if one has succeeded."""
        return self.ledger.best_trainings().get(trial)

    @property
    def best_of_all(self) -> FinalTrainingRecord | None:
        """The training with the highest reward, those by former manifests included, if one has succeeded."""
        return self.ledger.best_of_all()

    # What the manifest says of each training. -----------------------------------------------------------------------

    def timeout_seconds(self) -> float:
        """After which a training is ended; 0: no bound."""
        timeout = self._wanted.timeout if self._wanted is not None else None
        return parse_duration(timeout).total_seconds() if timeout else 0.0

    def max_weights_bytes(self) -> int:
        """Most bytes that a training may leave."""
        return int(parse_quantity(self._wanted.max_weights_size)) if self._wanted is not None else 0
