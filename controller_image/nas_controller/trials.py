"""`Trials`: the trials of a search whose updates have not been made: who holds them, and what came of them."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from nas_api.spec import NASSearchSpec

from nas_controller import equal_rewards, failed_reward
from nas_controller.early_stopping import REMARK, SPARED, build_early_stopping
from nas_controller.equal_rewards import EqualRewards
from nas_controller.failed_reward import FailedReward
from nas_controller.first_trainings import FirstTrainings
from nas_controller.journal.journal import (
    FactLearned,
    FirstTrained,
    FirstTraining,
    Journal,
    LeaseEnded,
    LeaseGranted,
    Measurement,
    Record,
    Recovered,
    SampledTrial,
    TrialFinished,
    TrialReported,
    TrialState,
)
from nas_controller.leases import Ending, Grant, Lease, Leases, Request, is_of_first_training
from nas_controller.ledger import Batch, Ledger, OpenTrial
from nas_controller.progress import Progress
from nas_controller.recovery import open_batches
from nas_controller.reward import with_reward
from nas_controller.trial_result import NOT_PROMOTED, TrialResult, all_workers_lost
from nas_controller.twins import Twins

logger = logging.getLogger(__name__)

_NOT_IN_FULL = "its first training was not among the best: it is not trained in full (controller.lowFidelity)"


class Trials:
    """Gives trials out, and takes their results."""

    def __init__(self, spec: NASSearchSpec, journal: Journal, leases: Leases, progress: Progress) -> None:
        """Has none before `recover`.

        Args:
            spec: of the search.
            journal: its durable memory.
            leases: of the search, trials' and final trainings' together.
            progress: that counts what finishes.
        """
        self._spec = spec
        self._journal = journal
        self._leases = leases
        self._progress = progress
        parallelism = spec.controller.parallelism
        self.ledger = Ledger(
            replicas=None if parallelism.replicas == "auto" else parallelism.replicas,
            max_version_lag=parallelism.max_version_lag,
        )
        replays = spec.controller.duplicates == "Replay"
        results = journal.trained_results()
        self._twins = Twins(self.ledger, results) if replays else None
        self._equal_rewards = EqualRewards(spec, results)
        self._failed_reward = FailedReward(spec.reward, said=bool(journal.fact(failed_reward.FACT)))
        self._stopping = build_early_stopping(spec)
        low = spec.controller.low_fidelity
        self._firsts = FirstTrainings(low, journal.first_trainings()) if low.enabled else None
        self.last_sequence = 0
        """Trials finished so far, over all runs."""

    def recover(self, recovered: Recovered) -> None:
        """Takes up those that the journal says are open."""
        self.last_sequence = recovered.last_sequence
        if self._twins is not None:
            self._twins.in_a_row = recovered.replayed_in_a_row
        self._journal.write(*self.open(open_batches(recovered, self._journal.first_trainings())))
        if self._stopping is not None:
            self._stopping.recover(self._journal, recovered)

    # Batches. -------------------------------------------------------------------------------------------------------

    @property
    def room(self) -> bool:
        """Whether more may be sampled, although some wait for their twins."""
        return self._twins is None or self._twins.room

    @property
    def replayed_in_a_row(self) -> int:
        """Trials that were replayed since one was last trained."""
        return 0 if self._twins is None else self._twins.in_a_row

    def open(self, batches: Sequence[Batch]) -> list[TrialFinished]:
        """Takes batches whose updates have not been made.

        Returns:
            What is to be written down of trials that are replayed at once.
        """
        unfinished = [trial for batch in batches for trial in batch.trials if trial.reward is None]
        # Those that are in training come first: their twins wait for them.
        unfinished.sort(key=lambda trial: (trial.holder is None, trial.sampled.trial))
        known = [] if self._twins is None else [trial for trial in unfinished if self._twins.open(trial)]
        for batch in batches:
            self.ledger.add(batch)
        return self._replay(known)

    # Leases. --------------------------------------------------------------------------------------------------------

    def grant(self, request: Request) -> Grant | None:
        """Leases the next pending trial. None: there is none."""
        trial = self.ledger.next_pending()
        if trial is None:
            return None
        first = self._firsts is not None and trial.first is None
        lease = self._leases.make(request, trial.sampled.trial, trial.lost, time.monotonic(), first_training=first)
        return Grant(lease, trial.sampled, self.begin(lease))

    def begin(self, lease: Lease) -> "Future[None]":
        """A lease takes its pending trial, or takes it up again."""
        self._leases.grant(lease)
        self.ledger.hold(self._get(lease), lease.token)
        if self._stopping is not None and not is_of_first_training(lease.token):
            self._stopping.begin(lease.trial, lease.token)
        return self._journal.write(
            LeaseGranted(lease.token, lease.trial, lease.worker, lease.request_id, lease.attempt, time.time())
        )

    def sampled(self, lease: Lease) -> SampledTrial:
        """What a held lease is on."""
        return self._get(lease).sampled

    def waits(self, lease: Lease) -> bool:
        """Whether the trial of a lease that has ended waits for a worker."""
        trial = self.ledger.get(lease.trial)
        return trial is not None and trial.pending

    def end_lease(self, lease: Lease, ending: Ending) -> "Future[None]":
        """A lease ends without a result: its trial goes out again, or fails when too many workers were lost with it."""
        trial = self._get(lease)
        self._leases.end(lease, ending)
        lost = ending is not Ending.RELEASED
        self.ledger.give_back(trial, lost=lost)
        written = self._journal.write(LeaseEnded(lease.token, lease.trial, ending.name.capitalize(), time.time()))
        if lost and trial.lost >= self._spec.controller.lease.max_attempts:
            return self._finish(trial, None, lease.worker, all_workers_lost(trial.lost, "architecture"))
        return written

    def report(self, lease: Lease, measurements: Sequence[Measurement]) -> "tuple[bool, Future[None]]":
        """Takes what a trial in training has measured.

        Returns:
            Whether it should stop early, and a future: its worker may hear of it when that is done.
        """
        if self._stopping is None or is_of_first_training(lease.token):
            return False, self._journal.write()
        before = self._stopping.spared
        points = self._stopping.report(lease.trial, measurements)
        records: list[Record] = [TrialReported(lease.token, lease.trial, points)] if points else []
        spared = self._stopping.spared
        if spared != before and spared is not None:
            records += [FactLearned(REMARK, self._stopping.remark), FactLearned(SPARED, str(spared))]
        return self._stopping.stops(lease.trial), self._journal.write(*records)

    def _get(self, lease: Lease) -> OpenTrial:
        trial = self.ledger.get(lease.trial)
        assert trial is not None
        return trial

    # Results. -------------------------------------------------------------------------------------------------------

    def complete(self, lease: Lease, result: TrialResult) -> "Future[None] | None":
        """The result of a lease that is held, or of one that ended without a result while its trial waits still.

        Returns:
            A future that is done when the result is durable; None when the trial went to another worker meanwhile.
        """
        trial = self.ledger.get(lease.trial)
        if trial is None or not (trial.holder == lease.token or trial.pending):
            return None
        if trial.first is not None and is_of_first_training(lease.token):
            return None  # of a lease that had expired: another worker has made the first training meanwhile
        if trial.holder == lease.token:
            self._leases.end(lease, Ending.FINISHED)
        else:
            self._leases.finish_late(lease)
        return self._finish(trial, lease.token, lease.worker, result)

    def _finish(self, trial: OpenTrial, lease: str | None, worker: str, result: TrialResult) -> "Future[None]":
        result = with_reward(result, self._spec.reward)
        reward = result.reward
        if result.state is TrialState.FAILED or reward is None:
            reward = self._spec.reward.failed_trial.reward
        records: list[Record] = []
        if lease is not None and is_of_first_training(lease):
            if result.state is not TrialState.FAILED:
                first = self._first_trained(trial, lease, reward, result)
                if first.promoted:
                    return self._journal.write(first)
                assert self._firsts is not None
                records.append(first)
                result = replace(result, state=TrialState.STOPPED_EARLY, reason=NOT_PROMOTED, message=_NOT_IN_FULL)
                reward = self._firsts.reward_without_full(reward)
        elif self._stopping is not None:
            if result.state is TrialState.STOPPED_EARLY:
                reward = self._stopping.reward_of_stopped(reward, result.measurements)
            self._stopping.finish(trial.sampled.trial, result.state, reward, result.measurements)
        if trial.first is not None:
            if result.state is TrialState.SUCCEEDED and self._firsts is not None:
                self._firsts.add_full(trial.first.reward, reward)
            result = replace(
                result,
                train_seconds=result.train_seconds + trial.first.train_seconds,
                device_seconds=result.device_seconds + trial.first.device_seconds,
            )
        records.append(self._record(trial, lease, worker, result, reward))
        if result.state is TrialState.SUCCEEDED:
            records += self._remark_on(trial.sampled.trial, reward)
        if self._twins is not None:
            records += self._replay(self._twins.finish(trial, result.state, reward))
        return self._journal.write(*records)

    def _first_trained(self, trial: OpenTrial, lease: str, reward: float, result: TrialResult) -> FirstTrained:
        """A trial has had its cheap first training: with a good one it waits for a full one now."""
        number, promoted = trial.sampled.trial, self._firsts is None or self._firsts.promotes(reward)
        if promoted:
            trial.first = FirstTraining(number, reward, promoted, result.train_seconds, result.device_seconds)
            if trial.holder is not None:
                self.ledger.give_back(trial, lost=False)
        return FirstTrained(
            number, lease, reward, promoted, result.train_seconds, result.device_seconds, at=time.time()
        )

    def _remark_on(self, trial: int, reward: float) -> list[FactLearned]:
        """Says so when rewards begin to be equal, or are worse than failing. Returns what is to be written down."""
        remarks = {
            equal_rewards.FACT: self._equal_rewards.add(trial, reward),
            failed_reward.FACT: self._failed_reward.add(trial, reward),
        }
        for remark in filter(None, remarks.values()):
            logger.warning("rewards: %s", remark)
        if remarks[equal_rewards.FACT] == "":
            logger.info("rewards: they differ again, since trial %d", trial)
        return [FactLearned(fact, remark) for fact, remark in remarks.items() if remark is not None]

    def _replay(self, trials: Sequence[OpenTrial]) -> list[TrialFinished]:
        """Finishes trials with the results of their twins. Returns what is to be written down."""
        records = []
        for trial in trials:
            assert self._twins is not None
            twin = self._twins.replay(trial)
            if self._stopping is not None:
                self._stopping.drop(trial.sampled.trial)
            records.append(self._record(trial, None, "", TrialResult(twin.state), twin.reward, replay_of=twin.trial))
        return records

    def _record(
        self,
        trial: OpenTrial,
        lease: str | None,
        worker: str,
        result: TrialResult,
        reward: float,
        replay_of: int | None = None,
    ) -> TrialFinished:
        """Counts a finished trial. Returns what is to be written down."""
        self.last_sequence += 1
        self.ledger.finish(trial, reward, complete=result.state is not TrialState.STOPPED_EARLY)
        self._progress.add(result.state, reward, result.device_seconds, replayed=replay_of is not None)
        return TrialFinished(
            trial=trial.sampled.trial,
            sequence=self.last_sequence,
            lease=lease,
            worker=worker,
            state=result.state,
            reward=reward,
            reason=result.reason,
            message=result.message,
            measurements=result.measurements,
            train_seconds=result.train_seconds,
            device_seconds=result.device_seconds,
            at=time.time(),
            replay_of=replay_of,
        )
