"""`Engine`: one architecture search as a state machine: jobs of the learner, leases of workers, results of trials.

Every change is a record in the journal before anybody hears of it, so an engine that is killed at any instant goes on
where it stopped. `Search` drives it from a loop of your own, `nas_controller.service` from workers' calls.

An Engine is not thread-safe: one thread calls it. The learner's jobs, which take long, are done elsewhere: by a
`JobRunner`, one at a time.
"""

import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import accumulate

from nas_api.spec import NASSearch
from nas_api.spec.base import parse_duration

from nas_controller.bootstrap import bootstrap_fact
from nas_controller.data_shape import DataShape
from nas_controller.early_stopping import build_early_stopping
from nas_controller.final_stage import FinalStage
from nas_controller.first_trainings import FirstTrainings
from nas_controller.history import History
from nas_controller.jobs import FinishedBatch, JobRunner, Learned, LearnJob, Sampled, SampleJob, Update
from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    FactLearned,
    FirstTrained,
    FirstTraining,
    Journal,
    LeaseEnded,
    LeaseGranted,
    Measurement,
    PolicyUpdated,
    Record,
    Recovered,
    SampledTrial,
    SearchStateChanged,
    TrialFinished,
    TrialReported,
    TrialState,
)
from nas_controller.leases import Ending, Lease, Leases, is_of_first_training, make_token
from nas_controller.ledger import Batch, Ledger, OpenTrial
from nas_controller.progress import BUDGET_REASONS, Progress, Verdict
from nas_controller.reward import NoRewardError, compute_reward
from nas_controller.spaces import build_space
from nas_controller.trial_result import TrialResult
from nas_controller.twins import CONVERGED_AFTER, Twins
from nas_controller.weight_store import WeightStore

_NOT_PROMOTED = "its first training was not among the best: it is not trained in full (controller.lowFidelity)"
# Complete batches that may wait for their updates before sampling for workers that wait has its turn.
_BACKLOG = 4
# Most batches that are sampled in one go. Many take little longer than one, which counts when hundreds of workers wait.
_BATCHES_AT_ONCE = 64
# Most updates that are made in one go, when they cannot keep up with the results.
_UPDATES_AT_ONCE = 4
# Seconds of `budget.maxDuration` between two entries in the journal.
_CLOCK_ENTRY = 10.0


class Engine:
    """One architecture search."""

    def __init__(
        self,
        manifest: NASSearch,
        journal: Journal,
        runner: JobRunner,
        data_shape: DataShape | None = None,
        weights: WeightStore | None = None,
    ) -> None:
        """Begins the search, or takes it up where the journal says that it stopped.

        Args:
            manifest: what to search. Must be the one that the journal began with, up to what may be edited.
            journal: its durable memory.
            runner: what will do the jobs. It is brought to where the journal stands.
            data_shape: of the data, where the space has constraints. The journal remembers it.
            weights: where what final trainings leave is kept. None: there is no second stage.

        Raises:
            JournalError: the journal cannot be read.
            ValueError: the journal's policy is not of this manifest, or `controller.bootstrap` is not what it began
                with, or not in the search space.
        """
        spec = manifest.spec
        self.manifest = manifest
        self.journal = journal
        self.data_shape: DataShape | None = None
        self.last_update: Update | None = None
        self._space = build_space(spec.search_space)
        self._leases = Leases(parse_duration(spec.controller.lease.duration).total_seconds())
        self.final_stage = FinalStage(manifest, journal, self._leases, weights)
        parallelism = spec.controller.parallelism
        self._ledger = Ledger(
            replicas=None if parallelism.replicas == "auto" else parallelism.replicas,
            max_version_lag=parallelism.max_version_lag,
        )
        replays = spec.controller.duplicates == "Replay"
        self._twins = Twins(self._ledger, journal.trained_results()) if replays else None
        self._stopping = build_early_stopping(spec)
        low = spec.controller.low_fidelity
        recorded = journal.first_trainings()
        self._firsts = FirstTrainings(low, recorded) if low.enabled else None
        self._job: SampleJob | LearnJob | None = None
        self._sampled_last = False
        self._replayed_since = False  # the clock was last looked at
        self._leases_granted = 0
        recovered = journal.recover()
        runner.restore(recovered, journal.history() if runner.uses_history() else History())
        self._recover(recovered)
        if data_shape is not None:
            self.set_data_shape(data_shape)

    def _recover(self, recovered: Recovered) -> None:
        self._version = recovered.version
        self._last_batch = recovered.last_batch
        self._last_trial = recovered.last_trial
        self._last_sequence = recovered.last_sequence
        self.epoch = recovered.epoch + 1
        bootstrap = bootstrap_fact(self.manifest.spec.controller.bootstrap)
        if self._last_trial and recovered.facts.get("bootstrap", "") != bootstrap:
            raise ValueError("controller.bootstrap is not what the search began with, and cannot be changed: undo it")
        # Not waited for: who is asked what the search waits for must be able to answer, also when its disk is full.
        self.journal.write(ControllerStarted(self.epoch, time.time()), FactLearned("bootstrap", bootstrap))
        best = self.journal.best(limit=1)
        self.progress = Progress.recovered(recovered, best[0].reward if best else None)
        self._recorded_seconds = self.progress.active_seconds
        self.verdict = Verdict(recovered.search_state, recovered.search_reason, recovered.search_message)
        if "data_shape" in recovered.facts:
            self.data_shape = DataShape.from_fact(recovered.facts["data_shape"])
        holders = {lease.trial: lease.lease for lease in recovered.leases if not lease.training}
        promoted = {first.trial: first for first in self.journal.first_trainings() if first.promoted}
        trials = {
            t.trial: OpenTrial(
                t,
                batch.attempts.get(t.trial, 0),
                holders.get(t.trial),
                batch.rewards.get(t.trial),
                complete=t.trial not in batch.incomplete,
                first=promoted.get(t.trial),
            )
            for batch in recovered.batches
            for t in batch.trials
        }
        unfinished = [trial for trial in trials.values() if trial.reward is None]
        unfinished.sort(key=lambda trial: (trial.holder is None, trial.sampled.trial))
        replays = self._open_twins(unfinished)
        # Batches are learnt in the order in which they were completed, a restart in between or not.
        for batch in sorted(recovered.batches, key=lambda batch: batch.last_sequence):
            self._ledger.add(Batch(batch.batch, batch.version, [trials[t.trial] for t in batch.trials]))
        self.journal.write(*self._replay(replays))
        now = time.monotonic()
        for held in recovered.leases:
            # Its worker may have been training all the while: it has a whole lease's time to say so.
            granted_at = now - max(0.0, time.time() - held.granted_at)
            lease = Lease(
                held.lease, held.trial, held.worker, held.request_id, held.attempt, granted_at, now, held.training
            )
            self._leases.renew(lease, now)
            self._leases.grant(lease)
        if self._stopping is not None:
            self._stopping.recover(self.journal, recovered)
        self._recover_end(recovered)
        if self.manifest.spec.suspend and self.verdict.state == "RUNNING":
            self.set_verdict(Verdict("SUSPENDED", "Suspended", "spec.suspend is true"))
        elif not self.manifest.spec.suspend and self.verdict.state == "SUSPENDED":
            self.set_verdict(Verdict("RUNNING", "Resumed", "spec.suspend is false"))
        # It may have been lowered, or its end not been recorded any more: no trial may be left to notice.
        self.check_budget()

    def _recover_end(self, recovered: Recovered) -> None:
        """What the end of the search, if it has ended, means with the manifest as it is now."""
        fact = recovered.facts.get("final_training", "")
        stage = self.final_stage
        stage.recover(fact)
        ending = stage.ending or self.verdict
        if (
            ending.final
            and ending.reason in BUDGET_REASONS
            and self.progress.verdict(self.manifest.spec.budget) is None
        ):
            stage.leave()
            self.set_verdict(Verdict("RUNNING", "BudgetRaised", "the budget was raised"))
        elif ending.state == "SUCCEEDED" and stage.edited(fact):
            stage.begin(ending)
            if self.verdict.state != "SUSPENDED":
                self.set_verdict(stage.verdict())

    # The learner. ---------------------------------------------------------------------------------------------------

    def next_job(self, wanted: int) -> SampleJob | LearnJob | None:
        """What the learner should do next. Its result goes to `absorb`, before the next job.

        Args:
            wanted: how many trials should be pending.
        """
        if self._job is not None:
            return None
        complete = self._ledger.next_complete(self._version, _UPDATES_AT_ONCE)
        sizes = self._next_sizes(wanted - self._ledger.pending)
        # Learning comes first. When it cannot keep up with workers that wait, the two take turns.
        if complete and (not sizes or self._ledger.complete <= _BACKLOG or self._sampled_last):
            self._job = LearnJob(
                tuple(FinishedBatch(batch.number, batch.version, tuple(batch.rewarded())) for batch in complete)
            )
        elif sizes:
            depth = self._space.depth(self._last_trial)
            # Batches that the schedule wants deeper are another job.
            starts = accumulate(sizes, initial=self._last_trial)
            sizes = tuple(size for size, start in zip(sizes, starts, strict=False) if self._space.depth(start) == depth)
            self._job = SampleJob(self._last_batch + 1, self._last_trial + 1, sizes, depth, self.data_shape)
        if self._job is not None:
            self._sampled_last = isinstance(self._job, SampleJob)
        return self._job

    def _next_sizes(self, wanted: int) -> tuple[int, ...]:
        """Sizes of the batches to sample next for `wanted` more trials; empty when none may be sampled now."""
        if wanted <= 0 or not self.searching or (self.needs_data_shape and self.data_shape is None):
            return ()
        if self._twins is not None and not self._twins.room:
            return ()
        size = self.manifest.spec.controller.batch_size
        limit = self.manifest.spec.budget.max_trials
        batches = min(-(-wanted // size), _BATCHES_AT_ONCE)
        room = self._ledger.room()
        batches = batches if room is None else min(batches, room)
        trials = batches * size if limit is None else min(batches * size, max(0, limit - self._last_trial))
        return tuple(min(size, trials - start) for start in range(0, trials, size))

    def absorb(self, result: Sampled | Learned) -> "Future[None]":
        """Records the result of the job that is under way. The future is done when it is durable."""
        job, self._job = self._job, None
        now = time.time()
        if isinstance(result, Sampled):
            known: list[OpenTrial] = []
            for batch, trials in result.batches:
                self._last_batch = batch.batch
                self._last_trial += len(trials)
                opened = [OpenTrial(trial) for trial in trials]
                known += self._open_twins(opened)
                self._ledger.add(Batch(batch.batch, batch.version, opened))
            sampled = (BatchSampled(batch.batch, batch.version, trials, now) for batch, trials in result.batches)
            written = self.journal.write(*sampled, *self._replay(known))
            self.check_budget()
            return written
        assert isinstance(job, LearnJob)
        for update in result.updates:
            self._ledger.remove(update.batch)
            self._version = update.version
            self.last_update = update
        return self.journal.write(
            *(_policy_updated(update, done, now) for update, done in zip(result.updates, job.batches, strict=True))
        )

    def forget_job(self) -> None:
        """The job that is under way came to nothing."""
        self._job = None

    @property
    def learning(self) -> bool:
        """Whether a job is under way, or a batch waits for its update and can have it."""
        return self._job is not None or bool(self._ledger.next_complete(self._version))

    # Leases. --------------------------------------------------------------------------------------------------------

    @property
    def leases(self) -> Leases:
        """Who holds what. To read; changes go through the methods here."""
        return self._leases

    @property
    def pending(self) -> int:
        """Trials, or trainings of the second stage, that wait for a worker."""
        return self._ledger.pending if self.final_stage.ending is None else self.final_stage.pending

    @property
    def backlog(self) -> int:
        """Batches whose trials have all finished and whose update has not been made."""
        return self._ledger.complete

    def grant(
        self, worker: str, request_id: str | None, pool: str = ""
    ) -> "tuple[Lease, SampledTrial, Future[None]] | None":
        """Leases the next pending trial, or final training, to a worker of `pool`. None: there is none.

        The worker may hear of it when the future is done.
        """
        if self.verdict.state != "RUNNING":
            return None
        now = time.monotonic()
        if self.final_stage.ending is not None:
            self.check_budget()
            training = self.final_stage.next_pending()
            if training is None:
                return None
            self._leases_granted += 1
            token = make_token(self.epoch, self._leases_granted, pool)
            number, attempt = training.planned.training, training.lost + 1
            expires_at = now + self._leases.duration
            final = Lease(token, training.planned.trial, worker, request_id or token, attempt, now, expires_at, number)
            return final, training.sampled, self.final_stage.grant(training, final)
        trial = self._ledger.next_pending()
        if trial is None:
            return None
        self._leases_granted += 1
        first = self._firsts is not None and trial.first is None
        token = make_token(self.epoch, self._leases_granted, pool, first_training=first)
        lease = Lease(
            token, trial.sampled.trial, worker, request_id or token, trial.lost + 1, now, now + self._leases.duration
        )
        return lease, trial.sampled, self._hold(trial, lease)

    def _hold(self, trial: OpenTrial, lease: Lease) -> "Future[None]":
        self._leases.grant(lease)
        self._ledger.hold(trial, lease.token)
        if self._stopping is not None and not is_of_first_training(lease.token):
            self._stopping.begin(lease.trial, lease.token)
        return self.journal.write(
            LeaseGranted(lease.token, lease.trial, lease.worker, lease.request_id, lease.attempt, time.time())
        )

    def trial_of(self, lease: Lease) -> SampledTrial:
        """The trial that a held lease is on."""
        trial = self._ledger.get(lease.trial) if not lease.training else self.final_stage.get(lease.training)
        assert trial is not None
        return trial.sampled

    def wants(self, lease: Lease) -> bool:
        """Whether what a held lease is for is still to be trained."""
        if self.verdict.final:
            return False
        return self.final_stage.get(lease.training) is not None if lease.training else self.final_stage.ending is None

    def revive(self, token: str, worker: str) -> Lease | None:
        """Takes up a lease again that has expired and whose trial waits still. None: it cannot be.

        One that was given back or lost is not: nobody trains its architecture, whatever a late report says.
        """
        ended = self._leases.ended(token)
        if ended is None or ended[1] is not Ending.EXPIRED or ended[0].worker != worker:
            return None
        lease = ended[0]
        if lease.training:
            training = self.final_stage.get(lease.training)
            if training is None or training.holder is not None or self._leases.of_worker(worker) is not None:
                return None
            self._leases.renew(lease, time.monotonic())
            self.final_stage.grant(training, lease)
            return lease
        trial = self._ledger.get(lease.trial)
        if trial is None or not trial.pending or self._leases.of_worker(worker) is not None:
            return None
        self._leases.renew(lease, time.monotonic())
        self._hold(trial, lease)
        return lease

    def end_lease(self, lease: Lease, ending: Ending) -> "Future[None]":
        """A lease ends without a result: its trial goes out again, or fails when too many workers were lost with it."""
        self.progress.leases_expired += ending is Ending.EXPIRED
        if lease.training:
            written = self.final_stage.end_lease(lease, ending)
            self.check_budget()
            return written
        trial = self._ledger.get(lease.trial)
        assert trial is not None
        self._leases.end(lease, ending)
        lost = ending is not Ending.RELEASED
        self._ledger.give_back(trial, lost=lost)
        written = self.journal.write(LeaseEnded(lease.token, lease.trial, ending.name.capitalize(), time.time()))
        if lost and trial.lost >= self.manifest.spec.controller.lease.max_attempts:
            message = f"{trial.lost} workers were lost with this architecture (controller.lease.maxAttempts)"
            result = TrialResult(TrialState.FAILED, reason="AttemptsExhausted", message=message)
            return self._finish(trial, None, lease.worker, result)
        return written

    def report(self, lease: Lease, measurements: Sequence[Measurement]) -> "tuple[bool, Future[None]]":
        """Takes what a trial in training has measured.

        Returns:
            Whether it should stop early, and a future: its worker may hear of it when that is done.
        """
        if self._stopping is None or lease.training or is_of_first_training(lease.token):
            return False, self.journal.write()
        spared = self._stopping.spared
        points = self._stopping.report(lease.trial, measurements)
        records: list[Record] = [TrialReported(lease.token, lease.trial, points)] if points else []
        if self._stopping.spared != spared and self._stopping.spared is not None:
            records.append(FactLearned("early_stopping", self._stopping.remark))
        return self._stopping.stops(lease.trial), self.journal.write(*records)

    def expire_leases(self) -> list[Lease]:
        """Ends the leases that have had no sign of life for too long.

        None while the journal stalls: nobody else could be given their architectures, and a worker that waits to hear
        of its lease cannot renew it.
        """
        if self.journal.problem():
            return []
        expired = self._leases.expired(time.monotonic())
        for lease in expired:
            self.end_lease(lease, Ending.EXPIRED)
        return expired

    # Results. -------------------------------------------------------------------------------------------------------

    def _open_twins(self, trials: Iterable[OpenTrial]) -> list[OpenTrial]:
        """Unfinished trials appear. Returns those that are to be replayed."""
        return [] if self._twins is None else [trial for trial in trials if self._twins.open(trial)]

    def _replay(self, trials: Iterable[OpenTrial]) -> list[TrialFinished]:
        """Finishes trials with the results of their twins. Returns what is to be written down."""
        records = []
        for trial in trials:
            assert self._twins is not None
            twin = self._twins.replay(trial)
            records.append(self._record(trial, None, "", TrialResult(twin.state), twin.reward, replay_of=twin.trial))
            self._replayed_since = True
        return records

    def complete(self, lease: Lease, result: TrialResult) -> "Future[None] | None":
        """The result of a lease that is held, or of one that ended without a result while its trial waits still.

        Returns:
            A future that is done when the result is durable; None when the trial went to another worker meanwhile.

        Raises:
            OSError: what a final training has left cannot be kept.
        """
        if lease.training:
            written = self.final_stage.complete(lease, result)
            self.check_budget()
            return written
        trial = self._ledger.get(lease.trial)
        if trial is None or not (trial.holder == lease.token or trial.pending):
            return None
        if trial.first is not None and is_of_first_training(lease.token):
            return None  # of a lease that had expired: another worker has made the first training meanwhile
        if trial.holder == lease.token:
            self._leases.end(lease, Ending.FINISHED)
        return self._finish(trial, lease.token, lease.worker, result)

    def _finish(self, trial: OpenTrial, lease: str | None, worker: str, result: TrialResult) -> "Future[None]":
        state, reason, message, reward = result.state, result.reason, result.message, result.reward
        if state is not TrialState.FAILED and reward is None:
            try:
                reward = compute_reward(result.measurements, self.manifest.spec.reward)
            except NoRewardError as error:
                state, reason, message = TrialState.FAILED, error.reason, str(error)
        if state is TrialState.FAILED or reward is None:
            reward = self.manifest.spec.reward.failed_trial.reward
        result = replace(result, state=state, reason=reason, message=message)
        records: list[Record] = []
        if lease is not None and is_of_first_training(lease):
            if state is not TrialState.FAILED:
                first = self._first_trained(trial, lease, reward, result)
                if first.promoted:
                    return self.journal.write(first)
                assert self._firsts is not None
                records.append(first)
                result = replace(result, state=TrialState.STOPPED_EARLY, reason="NotPromoted", message=_NOT_PROMOTED)
                reward = self._firsts.reward_without_full(reward)
        elif self._stopping is not None:
            if state is TrialState.STOPPED_EARLY:
                reward = self._stopping.reward_of_stopped(reward, result.measurements)
            self._stopping.finish(trial.sampled.trial, state, reward, result.measurements)
        if trial.first is not None:
            if state is TrialState.SUCCEEDED and self._firsts is not None:
                self._firsts.add_full(trial.first.reward, reward)
            result = replace(
                result,
                train_seconds=result.train_seconds + trial.first.train_seconds,
                device_seconds=result.device_seconds + trial.first.device_seconds,
            )
        records.append(self._record(trial, lease, worker, result, reward))
        if self._twins is not None:
            records += self._replay(self._twins.finish(trial, result.state, reward))
        written = self.journal.write(*records)
        self.check_budget()
        return written

    def _first_trained(self, trial: OpenTrial, lease: str, reward: float, result: TrialResult) -> FirstTrained:
        """A trial has had its cheap first training: with a good one it waits for a full one now."""
        number, promoted = trial.sampled.trial, self._firsts is None or self._firsts.promotes(reward)
        if promoted:
            trial.first = FirstTraining(number, reward, promoted, result.train_seconds, result.device_seconds)
            if trial.holder is not None:
                self._ledger.give_back(trial, lost=False)
        return FirstTrained(
            number, lease, reward, promoted, result.train_seconds, result.device_seconds, at=time.time()
        )

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
        self._last_sequence += 1
        self._ledger.finish(trial, reward, complete=result.state is not TrialState.STOPPED_EARLY)
        self.progress.add(result.state, reward, result.device_seconds, replayed=replay_of is not None)
        return TrialFinished(
            trial=trial.sampled.trial,
            sequence=self._last_sequence,
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

    # The search as a whole. -----------------------------------------------------------------------------------------

    @property
    def searching(self) -> bool:
        """Whether architectures are proposed and trained: the search runs, and is not in its second stage."""
        return self.verdict.state == "RUNNING" and self.final_stage.ending is None

    @property
    def last_sequence(self) -> int:
        """Trials finished so far, over all runs."""
        return self._last_sequence

    @property
    def version(self) -> int:
        """Of the policy: how many updates have been made."""
        return self._version

    @property
    def needs_data_shape(self) -> bool:
        """Whether nothing can be sampled before the shape of the data is known."""
        return self.manifest.spec.search_space.constrained

    def set_data_shape(self, shape: DataShape) -> None:
        """Makes the shape of the data known.

        Raises:
            ValueError: the search began with data of another shape.
        """
        if self.data_shape is not None and self.data_shape != shape:
            raise ValueError(f"the search began with {self.data_shape}, and now the data are {shape}")
        if self.data_shape is None:
            self.data_shape = shape
            self.journal.write(FactLearned("data_shape", shape.to_fact()))

    def add_active_seconds(self, seconds: float) -> None:
        """Counts time towards `budget.maxDuration`, if the search runs and trials are in training or replayed.

        A restart forgets what was not yet written down: at most ten seconds.
        """
        works = len(self._leases) > 0 or self._replayed_since
        self._replayed_since = False
        if not self.searching or not works:
            return
        self.progress.active_seconds += seconds
        if self.progress.active_seconds - self._recorded_seconds >= _CLOCK_ENTRY:
            self.journal.write(self._clock())
        self.check_budget()

    def _clock(self) -> FactLearned:
        self._recorded_seconds = self.progress.active_seconds
        return FactLearned("active_seconds", repr(self._recorded_seconds))

    def check_budget(self) -> "Future[None] | None":
        """Ends the search if its budget says so, or its second stage when that is done.

        The future is done when that is durable; None: it goes on as it did.
        """
        if self.verdict.state != "RUNNING":
            return None
        verdict = self._ending()
        if verdict is not None and verdict.state == "SUCCEEDED":
            if self.final_stage.ending is None:
                self.final_stage.begin(verdict)
            self.final_stage.plan()
            verdict = self.final_stage.verdict()
        return self.set_verdict(verdict) if verdict is not None and verdict != self.verdict else None

    def _ending(self) -> Verdict | None:
        """How the search has ended, the second stage left out. None: it has not."""
        if self.final_stage.ending is not None:
            return self.final_stage.ending
        verdict = self.progress.verdict(self.manifest.spec.budget)
        if verdict is None and self._twins is not None and self._twins.in_a_row >= CONVERGED_AFTER:
            message = f"the last {CONVERGED_AFTER:,} architectures proposed had all been trained before"
            verdict = Verdict("SUCCEEDED", "Converged", message)
        return verdict

    def set_verdict(self, verdict: Verdict) -> "Future[None]":
        """Runs, suspends or ends the search. To run one that failed forgives the failures so far.

        One whose budget is spent ends again at once.
        """
        if verdict.state == "RUNNING" and self.verdict.state == "FAILED":
            self.progress.consecutive_failures = 0
        if verdict.state == "RUNNING" and self.verdict.final and self.final_stage.ending is not None:
            if self.final_stage.done:
                self.final_stage.leave()
        elif verdict.state == "SUCCEEDED" and self.final_stage.ending is None:
            self.final_stage.settle()
        self.verdict = verdict
        changed = SearchStateChanged(verdict.state, verdict.reason, verdict.message, time.time())
        written = self.journal.write(self._clock(), changed)
        return self.check_budget() or written


def _policy_updated(update: Update, done: FinishedBatch, now: float) -> PolicyUpdated:
    return PolicyUpdated(
        version=update.version,
        batch=update.batch,
        lag=update.lag,
        baseline=update.statistics.baseline,
        entropy=update.statistics.entropy,
        gradient_norm=update.statistics.gradient_norm,
        mean_reward=math.fsum(rewarded.reward for rewarded in done.rewarded) / len(done.rewarded),
        snapshot=update.snapshot,
        state=update.state,
        kept_versions=update.kept_versions,
        at=now,
    )
