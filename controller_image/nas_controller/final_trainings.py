"""`FinalTrainings`: the trainings of the second stage: who holds them, and what came of them.

They are leased, retried and recorded as trials are, and are no trials: they have no part in what the policy learns, nor
in the budget.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future

from nas_api.spec import NASSearchSpec

from nas_controller.best_trainings import counts_before, without_series
from nas_controller.final_ledger import FinalLedger, OpenTraining
from nas_controller.journal.journal import (
    FinalTrainingFinished,
    FinalTrainingRecord,
    Journal,
    LeaseEnded,
    LeaseGranted,
    Measurement,
    SampledTrial,
    TrialState,
)
from nas_controller.leases import Ending, Grant, Lease, Leases, Request
from nas_controller.reward import NoRewardError, compute_reward, with_reward
from nas_controller.trial_result import TrialResult, all_workers_lost
from nas_controller.weight_store import WeightStore


class FinalTrainings:
    """Gives trainings out, and takes their results and what they leave."""

    def __init__(
        self, spec: NASSearchSpec, journal: Journal, leases: Leases, weights: WeightStore | None, ledger: FinalLedger
    ) -> None:
        """Leases and results of what is in the ledger.

        Args:
            spec: of the search.
            journal: its durable memory.
            leases: of the search, trials' and trainings' together.
            weights: where files are kept. None: there are no trainings.
            ledger: of the trainings.
        """
        self._spec = spec
        self._journal = journal
        self._leases = leases
        self._weights = weights
        self._ledger = ledger

    # Leases. --------------------------------------------------------------------------------------------------------

    def grant(self, request: Request) -> Grant | None:
        """Leases the next pending training. None: there is none."""
        training = self._ledger.next_pending()
        if training is None:
            return None
        planned = training.planned
        lease = self._leases.make(request, planned.trial, training.lost, time.monotonic(), training=planned.training)
        return Grant(lease, training.sampled, self.begin(lease))

    def begin(self, lease: Lease) -> "Future[None]":
        """A lease takes its pending training, or takes it up again."""
        training = self._get(lease)
        self._leases.grant(lease)
        if training.last != lease.token and self._weights is not None:
            self._weights.discard(training.last)  # its worker is gone
        self._ledger.hold(training, lease.token)
        return self._journal.write(
            LeaseGranted(
                lease.token, lease.trial, lease.worker, lease.request_id, lease.attempt, time.time(), lease.training
            )
        )

    def sampled(self, lease: Lease) -> SampledTrial:
        """What a held lease is on."""
        return self._get(lease).sampled

    def waits(self, lease: Lease) -> bool:
        """Whether the training of a lease that has ended waits for a worker."""
        training = self._ledger.get(lease.training)
        return training is not None and training.holder is None

    def end_lease(self, lease: Lease, ending: Ending) -> "Future[None]":
        """A lease ends without a result: its training goes out again, or fails when too many workers were lost."""
        self._leases.end(lease, ending)
        if self._weights is not None and ending is not Ending.EXPIRED:
            self._weights.discard(lease.token)
        reason = ending.name.capitalize()
        written = self._journal.write(LeaseEnded(lease.token, lease.trial, reason, time.time(), lease.training))
        training = self._ledger.get(lease.training)
        if training is None or training.holder != lease.token:
            return written  # a newer plan has no place for it
        lost = ending is not Ending.RELEASED
        self._ledger.give_back(training, lost=lost)
        if lost and training.lost >= self._spec.controller.lease.max_attempts:
            return self._finish(training, None, lease.worker, all_workers_lost(training.lost, "training"))
        return written

    def needs_weights(self, lease: Lease, measurements: Sequence[Measurement]) -> bool:
        """Whether what a held training leaves would be kept, by what it has measured."""
        before = self._ledger.best_trainings().get(lease.trial)
        if before is None:
            return True
        try:
            reward = compute_reward(measurements, self._spec.reward)
        except NoRewardError:
            return False
        return counts_before(reward, lease.training, before)

    def _get(self, lease: Lease) -> OpenTraining:
        training = self._ledger.get(lease.training)
        assert training is not None
        return training

    # Results. -------------------------------------------------------------------------------------------------------

    def complete(self, lease: Lease, result: TrialResult) -> "Future[None] | None":
        """The result of a lease that is held, or of one that ended without a result while its training waits still.

        Returns:
            A future that is done when the result is durable; None when nobody waits for it.

        Raises:
            OSError: what the training has left cannot be kept.
        """
        training = self._ledger.get(lease.training)
        if training is None or not self.awaits(lease):
            if self._weights is not None:
                self._weights.discard(lease.token)
            return None
        written = self._finish(training, lease.token, lease.worker, result)
        if self._leases.get(lease.token) is not None:
            self._leases.end(lease, Ending.FINISHED)
        else:
            self._leases.finish_late(lease)
        return written

    def awaits(self, lease: Lease) -> bool:
        """Whether a result of a lease would be taken: it is held, or its training waits still."""
        training = self._ledger.get(lease.training)
        return training is not None and training.holder in (lease.token, None)

    def _finish(self, training: OpenTraining, lease: str | None, worker: str, result: TrialResult) -> "Future[None]":
        result = with_reward(result, self._spec.reward)
        failed = result.state is TrialState.FAILED
        record = FinalTrainingRecord(
            planned=training.planned,
            wanted=True,
            state=TrialState.FAILED if failed else TrialState.SUCCEEDED,
            lost=training.lost,
            worker=worker,
            reward=None if failed else result.reward,
            reason=result.reason,
            message=result.message,
            measurements=result.measurements,
            train_seconds=result.train_seconds,
            weights_bytes=0 if failed else result.weights_bytes,
            finished_at=time.time(),
        )
        number = training.planned.training
        before = self._ledger.best_trainings().get(training.planned.trial)
        counts = record.reward is not None and counts_before(record.reward, number, before)
        if self._weights is not None and lease is not None and counts and record.weights_bytes:
            self._weights.keep(lease, number)
        self._ledger.finish(training, without_series(record))
        written = self._journal.write(
            FinalTrainingFinished(
                training=number,
                lease=lease,
                worker=worker,
                state=record.state,
                reward=record.reward,
                reason=record.reason,
                message=record.message,
                measurements=record.measurements,
                train_seconds=record.train_seconds,
                device_seconds=result.device_seconds,
                weights_bytes=record.weights_bytes,
                at=record.finished_at,
            )
        )
        beaten = before.planned.training if counts and before is not None else None
        written.add_done_callback(lambda done: self._tidy(lease, beaten, done))
        return written

    def _tidy(self, lease: str | None, beaten: int | None, written: "Future[None]") -> None:
        """Forgets what nobody needs once a result is durable: before that, its worker may have to bring it again."""
        if written.exception() is not None or self._weights is None:
            return
        if lease is not None:
            self._weights.discard(lease)
        if beaten is not None:
            self._weights.remove(beaten)
