"""`Search`: an architecture search that you drive from your own loop.

    with SqliteJournal(Path("journal.sqlite"), "default/digits") as journal:
        search = Search(load_manifest(Path("search.yaml")), journal)
        while not search.ended:
            for trial in search.ask(8):
                search.tell(trial, reward=train(trial.architecture))

It can be killed at any instant: made anew from the same journal, it proposes again what was asked and not told.
"""

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from nas_api.architectures import Architecture, parse_architecture
from nas_api.spec import NASSearch

from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.data_shape import DataShape
from nas_controller.engine import Engine
from nas_controller.journal.journal import Journal, Measurement, TrialState
from nas_controller.leases import Ending, Lease, is_of_first_training
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.trial_result import TrialResult

# The worker that holds the leases of asked trials.
_ASKER = "ask-tell"


class SearchEndedError(Exception):
    """The search has ended and proposes nothing more; the message says why it ended."""


class SearchSuspendedError(Exception):
    """The search is suspended and proposes nothing until it is resumed; the message says why."""


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """An architecture that a search proposes: train it and `tell` its reward."""

    number: int
    architecture: Architecture
    lease: str
    first_training: bool = False
    """Whether to train it as `spec.controller.lowFidelity` says. If it does well it is asked once more, in full."""


class Search:
    """One architecture search, by ask and tell. Not thread-safe."""

    def __init__(self, manifest: NASSearch, journal: Journal, data_shape: DataShape | None = None) -> None:
        """Begins the search, or takes it up where the journal says that it stopped.

        Args:
            manifest: what to search. Must be the one that the journal began with, up to what may be edited.
            journal: its durable memory.
            data_shape: of the data, where the space has constraints. The journal remembers it.

        Raises:
            JournalError: the journal cannot be read.
            ValueError: the journal's policy is not of this manifest, or its data had another shape, or the space has
                constraints and the shape of the data is not known.
        """
        self._runner = LocalJobRunner(manifest.spec)
        self.engine = Engine(manifest, journal, self._runner, data_shape)
        if self.engine.needs_data_shape and self.engine.data_shape is None:
            raise ValueError("searchSpace.convNet.constraints need the shape of the data: pass data_shape")
        for lease in self.engine.leases.held():
            self.engine.end_lease(lease, Ending.RELEASED)  # whoever asked for it is gone
        self._counted_at = time.monotonic()
        self._reported: dict[int, list[Measurement]] = {}  # of asked trials

    @property
    def ended(self) -> bool:
        """Whether the search has ended: its budget is spent, its target reached, or it has failed."""
        return self.engine.verdict.final

    def ask(self, count: int = 1) -> list[AskedTrial]:
        """Proposes architectures to train, at most `count`: fewer when the budget or a bound on replicas says so.

        Raises:
            SearchEndedError: the search has ended.
            SearchSuspendedError: it is suspended. What was asked before can still be told.
            NoAcceptableArchitectureError: nothing that the policy samples keeps the constraints.
        """
        self._count_time()
        if self.ended:
            raise SearchEndedError(f"the search has ended: {self.engine.verdict.message}")
        if self.engine.verdict.state == "SUSPENDED":
            raise SearchSuspendedError(f"the search is suspended: {self.engine.verdict.message}")
        self._learn(wanted=count)
        asked: list[AskedTrial] = []
        written: list[Future[None]] = []
        while len(asked) < count and (granted := self.engine.grant(_ASKER, None)):
            lease, trial, durable = granted
            asked.append(
                AskedTrial(
                    trial.trial, parse_architecture(trial.architecture), lease.token, is_of_first_training(lease.token)
                )
            )
            written.append(durable)
        for durable in written:
            durable.result()
        return asked

    def tell(self, trial: AskedTrial, reward: float, measurements: Sequence[Measurement] = ()) -> None:
        """Tells the reward of an asked trial. When this returns, it is durable and learnt from.

        Args:
            trial: that was asked for.
            reward: that it has earned.
            measurements: of its training. What was reported, if there are none.

        Raises:
            ValueError: the reward is not finite, or the trial was not asked for, or was told before.
        """
        if not math.isfinite(reward):
            raise ValueError(f"the reward of trial {trial.number} is {reward}: tell_failed() is for failures")
        self._tell(trial, TrialResult(TrialState.SUCCEEDED, tuple(measurements), reward))

    def report(self, trial: AskedTrial, step: int, **metrics: float) -> bool:
        """Reports what an asked trial has measured. Whether it should stop now: see `tell_stopped`.

        Only a search with `controller.earlyStopping` stops trials. Steps ascend.

        Raises:
            ValueError: the trial was not asked for, or was told before.
        """
        lease = self._held(trial)
        measurement = Measurement(step, metrics, time.monotonic() - lease.granted_at)
        self._reported.setdefault(trial.number, []).append(measurement)
        stops, durable = self.engine.report(lease, [measurement])
        durable.result()
        return stops

    def tell_stopped(self, trial: AskedTrial) -> None:
        """Tells that an asked trial has stopped early. Its reward is made of what it reported.

        Raises:
            ValueError: the trial was not asked for, or was told before.
        """
        self._tell(trial, TrialResult(TrialState.STOPPED_EARLY))

    def tell_failed(self, trial: AskedTrial, message: str) -> None:
        """Tells that an asked trial cannot be trained: it gets `spec.reward.failedTrial.reward`.

        Raises:
            ValueError: the trial was not asked for, or was told before.
        """
        self._tell(trial, TrialResult(TrialState.FAILED, reason="TaskRaised", message=message))

    def _tell(self, trial: AskedTrial, result: TrialResult) -> None:
        lease = self._held(trial)
        reported = self._reported.pop(trial.number, [])
        result = replace(result, measurements=result.measurements or tuple(reported))
        self._count_time()
        durable = self.engine.complete(lease, result)
        assert durable is not None
        self._learn(wanted=0)
        durable.result()

    def _held(self, trial: AskedTrial) -> Lease:
        lease = self.engine.leases.get(trial.lease)
        if lease is None or lease.trial != trial.number:
            raise ValueError(f"trial {trial.number} was not asked for in this session, or was told before")
        return lease

    def _learn(self, wanted: int) -> None:
        """Does all jobs that there are, until `wanted` trials are pending."""
        while job := self.engine.next_job(wanted):
            try:
                result = self._runner.run(job)
            except NoAcceptableArchitectureError:
                self.engine.forget_job()
                raise
            self.engine.absorb(result).result()

    def _count_time(self) -> None:
        """Counts the time since the last call towards `budget.maxDuration`."""
        now = time.monotonic()
        self.engine.add_active_seconds(now - self._counted_at)
        self._counted_at = now
