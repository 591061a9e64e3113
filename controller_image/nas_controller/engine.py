"""`Engine`: one architecture search as a state machine: jobs of the learner, leases of workers, results of trials.

Every change is a record in the journal before anybody hears of it, so an engine that is killed at any instant goes on
where it stopped. `Search` drives it from a loop of your own, `nas_controller.service` from workers' calls.

An Engine is not thread-safe: one thread calls it. The learner's jobs, which take long, are done elsewhere: by a
`JobRunner`, one at a time.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future

from nas_api.spec import NASSearch
from nas_api.spec.base import parse_duration

from nas_controller.agenda import Agenda
from nas_controller.bootstrap import bootstrap_fact
from nas_controller.data_shape import DataShape
from nas_controller.final_stage import FinalStage
from nas_controller.final_trainings import FinalTrainings
from nas_controller.history import History
from nas_controller.jobs import JobRunner, Learned, LearnJob, Sampled, SampleJob, Update
from nas_controller.journal.journal import (
    ControllerStarted,
    FactLearned,
    Journal,
    Measurement,
    Recovered,
    SampledTrial,
)
from nas_controller.leases import Ending, Grant, Lease, Leases, Request
from nas_controller.progress import Progress, Verdict
from nas_controller.recovery import held_leases
from nas_controller.standing import Standing
from nas_controller.trial_result import TrialResult
from nas_controller.trials import Trials
from nas_controller.weight_store import WeightStore


class Engine:
    """One architecture search.

    It has a part for each matter: `Agenda` for the learner's jobs, `Trials` and `FinalTrainings` for what is trained,
    `FinalStage` for the plan of the second stage, `Standing` for the verdict. They share the journal and the leases.
    """

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
        recovered = journal.recover()
        runner.restore(recovered, journal.history() if runner.uses_history() else History())
        self.epoch = recovered.epoch + 1
        self._start(recovered)
        best = journal.best(limit=1)
        self.progress = Progress.recovered(recovered, best[0].reward if best else None)
        self._leases = Leases(parse_duration(spec.controller.lease.duration).total_seconds(), self.epoch)
        for lease in held_leases(recovered, self._leases.duration):
            self._leases.grant(lease)
        self._trials = Trials(spec, journal, self._leases, self.progress)
        self._agenda = Agenda(spec, journal, self._trials, recovered)
        self.final_stage = FinalStage(spec, journal, self._leases, weights)
        self.final_trainings = FinalTrainings(spec, journal, self._leases, weights, self.final_stage.ledger)
        self._standing = Standing(spec, journal, self._leases, self.progress, self._trials, self.final_stage)
        self._trials.recover(recovered)
        self._standing.recover(recovered)
        if data_shape is not None:
            self.set_data_shape(data_shape)

    def _start(self, recovered: Recovered) -> None:
        bootstrap = bootstrap_fact(self.manifest.spec.controller.bootstrap)
        if recovered.last_trial and recovered.facts.get("bootstrap", "") != bootstrap:
            raise ValueError("controller.bootstrap is not what the search began with, and cannot be changed: undo it")
        # Not waited for: who is asked what the search waits for must be able to answer, also when its disk is full.
        self.journal.write(ControllerStarted(self.epoch, time.time()), FactLearned("bootstrap", bootstrap))

    # The learner. ---------------------------------------------------------------------------------------------------

    def next_job(self, wanted: int) -> SampleJob | LearnJob | None:
        """What the learner should do next. Its result goes to `absorb`, before the next job.

        Args:
            wanted: how many trials should be pending.
        """
        return self._agenda.next_job(wanted if self.searching else 0)

    def absorb(self, result: Sampled | Learned) -> "Future[None]":
        """Records the result of the job that is under way. The future is done when it is durable."""
        written = self._agenda.absorb(result)
        self.check_budget()  # some of what was sampled may have been replayed
        return written

    def forget_job(self) -> None:
        """The job that is under way came to nothing."""
        self._agenda.forget_job()

    @property
    def learning(self) -> bool:
        """Whether a job is under way, or a batch waits for its update and can have it."""
        return self._agenda.busy

    @property
    def last_update(self) -> Update | None:
        """The last update since the start."""
        return self._agenda.last_update

    @property
    def version(self) -> int:
        """Of the policy: how many updates have been made."""
        return self._agenda.version

    @property
    def backlog(self) -> int:
        """Batches whose trials have all finished and whose update has not been made."""
        return self._trials.ledger.complete

    @property
    def data_shape(self) -> DataShape | None:
        """Of the data, once it is known."""
        return self._agenda.data_shape

    @property
    def needs_data_shape(self) -> bool:
        """Whether nothing can be sampled before the shape of the data is known."""
        return self._agenda.needs_data_shape

    def set_data_shape(self, shape: DataShape) -> None:
        """Makes the shape of the data known.

        Raises:
            ValueError: the search began with data of another shape.
        """
        self._agenda.set_data_shape(shape)

    # Leases and results. --------------------------------------------------------------------------------------------

    @property
    def leases(self) -> Leases:
        """Who holds what. To read; changes go through the methods here."""
        return self._leases

    @property
    def pending(self) -> int:
        """Trials, or trainings of the second stage, that wait for a worker."""
        return self._trials.ledger.pending if self.final_stage.ending is None else self.final_stage.pending

    def grant(self, worker: str, request_id: str | None, pool: str = "") -> Grant | None:
        """Leases the next pending trial, or final training, to a worker of `pool`. None: there is none."""
        if self.verdict.state != "RUNNING":
            return None
        request = Request(worker, request_id, pool)
        if self.final_stage.ending is None:
            return self._trials.grant(request)
        self.check_budget()
        return self.final_trainings.grant(request)

    def trial_of(self, lease: Lease) -> SampledTrial:
        """The trial that a held lease is on."""
        return self._holding(lease).sampled(lease)

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
        if not self._holding(lease).waits(lease) or self._leases.of_worker(worker) is not None:
            return None
        self._leases.renew(lease, time.monotonic())
        self._holding(lease).begin(lease)
        return lease

    def end_lease(self, lease: Lease, ending: Ending) -> "Future[None]":
        """A lease ends without a result: its trial goes out again, or fails when too many workers were lost with it."""
        self.progress.leases_expired += ending is Ending.EXPIRED
        written = self._holding(lease).end_lease(lease, ending)
        self.check_budget()
        return written

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

    def report(self, lease: Lease, measurements: Sequence[Measurement]) -> "tuple[bool, Future[None]]":
        """Takes what a trial in training has measured.

        Returns:
            Whether it should stop early, and a future: its worker may hear of it when that is done.
        """
        return (False, self.journal.write()) if lease.training else self._trials.report(lease, measurements)

    def complete(self, lease: Lease, result: TrialResult) -> "Future[None] | None":
        """The result of a lease that is held, or of one that ended without a result while its trial waits still.

        Returns:
            A future that is done when the result is durable; None when the trial went to another worker meanwhile.

        Raises:
            OSError: what a final training has left cannot be kept.
        """
        written = self._holding(lease).complete(lease, result)
        self.check_budget()
        return written

    def _holding(self, lease: Lease) -> Trials | FinalTrainings:
        return self.final_trainings if lease.training else self._trials

    # The search as a whole. -----------------------------------------------------------------------------------------

    @property
    def verdict(self) -> Verdict:
        """How the search stands."""
        return self._standing.verdict

    @property
    def searching(self) -> bool:
        """Whether architectures are proposed and trained: the search runs, and is not in its second stage."""
        return self._standing.searching

    @property
    def last_sequence(self) -> int:
        """Trials finished so far, over all runs."""
        return self._trials.last_sequence

    def add_active_seconds(self, seconds: float) -> None:
        """Counts time towards `budget.maxDuration`, if the search runs and trials are in training or replayed.

        A restart forgets what was not yet written down: at most ten seconds.
        """
        self._standing.add_active_seconds(seconds)

    def check_budget(self) -> "Future[None] | None":
        """Ends the search if its budget says so, or its second stage when that is done.

        The future is done when that is durable; None: it goes on as it did.
        """
        return self._standing.check_budget()

    def set_verdict(self, verdict: Verdict) -> "Future[None]":
        """Runs, suspends or ends the search. To run one that failed forgives the failures so far.

        One whose budget is spent ends again at once.
        """
        return self._standing.set_verdict(verdict)
