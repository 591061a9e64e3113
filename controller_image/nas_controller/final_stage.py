"""`FinalStage`: the second stage of a search (`spec.finalTraining`), in which the best architectures are trained again.

It begins when the search has ended well. Its trainings are leased, retried and recorded as trials are, and are no
trials: they have no part in what the policy learns, nor in the budget.
"""

import json
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from nas_api.spec import NASSearch
from nas_api.spec.base import parse_duration, parse_quantity

from nas_controller.best_trainings import best_of_all, best_trainings, counts_before, describe_training, without_series
from nas_controller.final_plan import final_plan
from nas_controller.journal.journal import (
    FactLearned,
    FinalTrainingFinished,
    FinalTrainingRecord,
    FinalTrainingsPlanned,
    Journal,
    LeaseEnded,
    LeaseGranted,
    Measurement,
    PlannedTraining,
    SampledTrial,
    TrialState,
)
from nas_controller.leases import Ending, Lease, Leases
from nas_controller.progress import Verdict
from nas_controller.reward import NoRewardError, compute_reward
from nas_controller.trial_result import TrialResult
from nas_controller.weight_store import WeightStore

FINAL_TRAINING = "FinalTraining"
"""Reason of the verdict RUNNING while the second stage lasts."""
_FACT = "final_training"


@dataclass(slots=True)
class OpenTraining:
    """A training of the plan that has no result."""

    planned: PlannedTraining
    sampled: SampledTrial
    lost: int = 0  # workers that were lost with it
    holder: str | None = None  # the lease that holds it
    last: str = ""  # the lease that held it last


class FinalStage:
    """The trainings of the second stage: which there are, who holds them, and what came of them."""

    def __init__(self, manifest: NASSearch, journal: Journal, leases: Leases, weights: WeightStore | None) -> None:
        """Knows nothing before `recover`.

        Args:
            manifest: of the search.
            journal: its durable memory.
            leases: of the search, trials' and trainings' together.
            weights: where files are kept. None: there is no second stage, whatever the manifest says.
        """
        self._spec = manifest.spec
        self._wanted = manifest.spec.final_training if weights is not None else None
        self._journal = journal
        self._leases = leases
        self._weights = weights
        self.ending: Verdict | None = None
        """How the search has ended, once the second stage has begun."""
        self.total = 0
        """Trainings of the plan."""
        self._open: dict[int, OpenTraining] = {}
        self._pending: deque[OpenTraining] = deque()
        self._results: dict[int, FinalTrainingRecord] = {}  # of every plan
        self._planned: tuple[PlannedTraining, ...] = ()
        self._readable: Future[None] | None = None  # the results of the search; None: they were, and there is a plan

    # The stage as a whole. --------------------------------------------------------------------------------------------

    def recover(self, fact: str) -> None:
        """Takes the stage up where the journal says that it stopped, the leases being known.

        Args:
            fact: what the stage last had written down of itself; empty: nothing.
        """
        known = json.loads(fact) if fact else {}
        self.ending = Verdict(*known["ending"]) if known.get("ending") else None
        records = self._journal.final_trainings()
        self._results = {record.planned.training: without_series(record) for record in records if record.finished_at}
        if self.ending is not None:
            if known["planned"]:
                self._take_up([record.planned for record in records if record.wanted], records)
            else:
                self._readable = self._journal.write()
        if self._weights is not None:
            best = {record.planned.training for record in best_trainings(self._results.values()).values()}
            self._weights.sweep(best, {lease.token for lease in self._leases.held() if lease.training})

    def edited(self, fact: str) -> bool:
        """Whether the manifest asks for another second stage than when it was last looked at."""
        return (json.loads(fact)["spec"] if fact else None) != self._wanted_as_plain()

    def begin(self, ending: Verdict) -> None:
        """The search has ended well, or has ended before and asks for another second stage now.

        The trainings are planned by `plan`: what the best trials are, only the journal knows.
        """
        self.ending = ending
        self._take_up((), ())
        self._readable = self._journal.write(self._fact(planned=False))
        if self._wanted is None:
            self._write_plan(())

    def plan(self) -> None:
        """Plans the trainings that have not been done, once all results of the search can be read."""
        if self._readable is None or not self._readable.done():
            return
        records = self._journal.final_trainings()
        plan = final_plan(self._wanted, self._spec.trainer, self._journal, records) if self._wanted is not None else []
        self._take_up(plan, records)
        self._write_plan(plan)

    def _write_plan(self, plan: Sequence[PlannedTraining]) -> None:
        self._readable = None
        self._journal.write(FinalTrainingsPlanned(tuple(plan)), self._fact(planned=True))

    def leave(self) -> None:
        """The search goes on: the stage begins again when it ends again."""
        self.ending = self._readable = None
        self._take_up((), ())
        self._journal.write(self._fact(planned=False))

    def settle(self) -> None:
        """The search has ended otherwise: only another manifest begins the stage."""
        self._journal.write(self._fact(planned=False))

    def verdict(self) -> Verdict:
        """How a search stands whose second stage has begun."""
        assert self.ending is not None
        if self._readable is not None:
            return Verdict("RUNNING", FINAL_TRAINING, f"{self.ending.message}; final training of the best")
        if self._open:
            message = f"{self.ending.message}; final training of the best, {self.finished} of {self.total} are done"
            return Verdict("RUNNING", FINAL_TRAINING, message)
        outcome = self._outcome()
        return Verdict("SUCCEEDED", self.ending.reason, f"{self.ending.message}{outcome and '; '}{outcome}")

    @property
    def done(self) -> bool:
        """Whether every training of the plan has a result."""
        return self._readable is None and not self._open

    @property
    def finished(self) -> int:
        """Trainings of the plan that have a result."""
        return self.total - len(self._open)

    def best(self, trial: int) -> FinalTrainingRecord | None:
        """The training of a trial that counts, if one has succeeded."""
        return best_trainings(self._results.values()).get(trial)

    @property
    def best_of_all(self) -> FinalTrainingRecord | None:
        """The training with the highest reward, those by former manifests included, if one has succeeded."""
        return best_of_all(self._results.values())

    def _outcome(self) -> str:
        if self._wanted is None:
            return ""
        if not self._planned:
            return "no trial has succeeded, so there is no final training"
        results = [self._results[planned.training] for planned in self._planned]
        failed = sum(record.state is TrialState.FAILED for record in results)
        if failed == len(results):
            first = results[0]
            return f"all {failed} final trainings failed, the first with {first.reason}: {first.message}"
        best = self.best_of_all
        assert best is not None
        return f"final training: {describe_training(best)}" + (f"; {failed} of {len(results)} failed" if failed else "")

    def _take_up(self, plan: Sequence[PlannedTraining], records: Iterable[FinalTrainingRecord]) -> None:
        """Makes a plan the one that is followed. `records`: of the trainings, as they can be read."""
        self._planned = tuple(plan)
        self.total = len(plan)
        lost = {record.planned.training: record.lost for record in records}
        holders = {lease.training: lease.token for lease in self._leases.held()}
        self._open = {}
        sampled: dict[int, SampledTrial] = {}
        for planned in plan:
            if planned.training in self._results:
                continue
            if planned.trial not in sampled:
                record = self._journal.trial(planned.trial)
                assert record is not None
                sampled[planned.trial] = record.sampled
            number = planned.training
            holder = holders.get(number)
            self._open[number] = OpenTraining(
                planned, sampled[planned.trial], lost.get(number, 0), holder, last=holder or ""
            )
        self._pending = deque(training for training in self._open.values() if training.holder is None)

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

    # Leases. ----------------------------------------------------------------------------------------------------------

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

    def timeout_seconds(self) -> float:
        """After which a training is ended; 0: no bound."""
        timeout = self._wanted.timeout if self._wanted is not None else None
        return parse_duration(timeout).total_seconds() if timeout else 0.0

    def max_weights_bytes(self) -> int:
        """Most bytes that a training may leave."""
        return int(parse_quantity(self._wanted.max_weights_size)) if self._wanted is not None else 0

    def hold(self, training: OpenTraining, token: str) -> None:
        """A lease takes a pending training."""
        self._pending.remove(training)
        training.holder = training.last = token

    def grant(self, training: OpenTraining, lease: Lease) -> "Future[None]":
        """Begins a lease, or takes one that expired up again."""
        self._leases.grant(lease)
        if training.last != lease.token and self._weights is not None:
            self._weights.discard(training.last)  # its worker is gone
        self.hold(training, lease.token)
        return self._journal.write(
            LeaseGranted(
                lease.token, lease.trial, lease.worker, lease.request_id, lease.attempt, time.time(), lease.training
            )
        )

    def end_lease(self, lease: Lease, ending: Ending) -> "Future[None]":
        """A lease ends without a result: its training goes out again, or fails when too many workers were lost."""
        self._leases.end(lease, ending)
        if self._weights is not None and ending is not Ending.EXPIRED:
            self._weights.discard(lease.token)
        reason = ending.name.capitalize()
        written = self._journal.write(LeaseEnded(lease.token, lease.trial, reason, time.time(), lease.training))
        training = self._open.get(lease.training)
        if training is None or training.holder != lease.token:
            return written  # a newer plan has no place for it
        lost = ending is not Ending.RELEASED
        training.holder = None
        training.lost += lost
        self._pending.appendleft(training)
        if lost and training.lost >= self._spec.controller.lease.max_attempts:
            message = f"{training.lost} workers were lost with this training (controller.lease.maxAttempts)"
            result = TrialResult(TrialState.FAILED, reason="AttemptsExhausted", message=message)
            return self._finish(training, None, lease.worker, result)
        return written

    def needs_weights(self, lease: Lease, measurements: Sequence[Measurement]) -> bool:
        """Whether what a held training leaves would be kept, by what it has measured."""
        before = self.best(lease.trial)
        if before is None:
            return True
        try:
            reward = compute_reward(measurements, self._spec.reward)
        except NoRewardError:
            return False
        return counts_before(reward, lease.training, before)

    # Results. ---------------------------------------------------------------------------------------------------------

    def complete(self, lease: Lease, result: TrialResult) -> "Future[None] | None":
        """The result of a lease that is held, or of one that ended without a result while its training waits still.

        Returns:
            A future that is done when the result is durable; None when nobody waits for it.

        Raises:
            OSError: what the training has left cannot be kept.
        """
        training = self._open.get(lease.training)
        if training is None or training.holder not in (lease.token, None):
            if self._weights is not None:
                self._weights.discard(lease.token)
            return None
        written = self._finish(training, lease.token, lease.worker, result)
        if self._leases.get(lease.token) is not None:
            self._leases.end(lease, Ending.FINISHED)
        return written

    def _finish(self, training: OpenTraining, lease: str | None, worker: str, result: TrialResult) -> "Future[None]":
        state, reason, message, reward = result.state, result.reason, result.message, result.reward
        if state is not TrialState.FAILED and reward is None:
            try:
                reward = compute_reward(result.measurements, self._spec.reward)
            except NoRewardError as error:
                state, reason, message = TrialState.FAILED, error.reason, str(error)
        state = TrialState.FAILED if state is TrialState.FAILED else TrialState.SUCCEEDED
        record = FinalTrainingRecord(
            planned=training.planned,
            wanted=True,
            state=state,
            lost=training.lost,
            worker=worker,
            reward=None if state is TrialState.FAILED else reward,
            reason=reason,
            message=message,
            measurements=result.measurements,
            train_seconds=result.train_seconds,
            weights_bytes=0 if state is TrialState.FAILED else result.weights_bytes,
            finished_at=time.time(),
        )
        record = without_series(record)
        before = self.best(training.planned.trial)
        counts = record.reward is not None and counts_before(record.reward, training.planned.training, before)
        if self._weights is not None and lease is not None:
            if counts and record.weights_bytes:
                self._weights.keep(lease, training.planned.training)
            else:
                self._weights.discard(lease)
        self._results[training.planned.training] = record
        del self._open[training.planned.training]
        if training.holder is None:
            self._pending.remove(training)
        written = self._journal.write(
            FinalTrainingFinished(
                training=training.planned.training,
                lease=lease,
                worker=worker,
                state=state,
                reward=record.reward,
                reason=reason,
                message=message,
                measurements=result.measurements,
                train_seconds=result.train_seconds,
                device_seconds=result.device_seconds,
                weights_bytes=record.weights_bytes,
                at=record.finished_at,
            )
        )
        if counts and before is not None:
            written.add_done_callback(lambda done: self._remove(before.planned.training, done))
        return written

    def _remove(self, training: int, written: "Future[None]") -> None:
        if written.exception() is None and self._weights is not None:
            self._weights.remove(training)
