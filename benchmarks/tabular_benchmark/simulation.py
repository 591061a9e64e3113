"""`simulate`: one search of a table, with workers that train by a clock of its own instead of by networks.

Between the table and an algorithm is all of a search but its processes: `Engine` (batches, replicas, version lag, the
reward of the manifest), `LocalJobRunner` and `Learner` (versions, snapshots), the space, and a `SqliteJournal` in
memory. Left out are gRPC, leases that expire, and that anybody waits until a record is durable. Jobs of the learner are
asked for by the rule of the controller's coordinator, and take no simulated time unless `job_seconds` says so.
"""

import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from nas_api.architectures import Discrete, parse_architecture
from nas_api.spec import NASSearch
from nas_controller.engine import Engine
from nas_controller.jobs import Learned, LearnJob, Sampled, SampleJob
from nas_controller.journal.journal import BatchSampled, Measurement, PolicyUpdated, Record, TrialFinished, TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import Lease
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.service.coordinator import wanted_trials
from nas_controller.trial_result import TrialResult
from numpy.typing import NDArray

from tabular_benchmark.contestants import METRIC
from tabular_benchmark.table import Table, Value

FAILED = -1
"""Stands for the row of a trial that failed: its architecture has no objective in the table."""


class StalledError(Exception):
    """A search proposes nothing while all its workers wait."""


@dataclass
class Run:
    """What one search did: a value for each finished trial, in the order in which they finished, and a few sums."""

    seed: int
    rows: list[int] = field(default_factory=list)
    """Of the table, or `FAILED`."""
    finished_at: list[float] = field(default_factory=list)
    """Simulated seconds since the beginning."""
    device_seconds: list[float] = field(default_factory=list)
    """That training it took; 0 for one that was not trained."""
    lags: list[int] = field(default_factory=list)
    """Of each update: updates between the sampling of its batch and itself."""
    seconds: float = 0.0
    """Simulated, in all."""
    idle_seconds: float = 0.0
    """Of all workers, summed: simulated, without an architecture."""
    workers: int = 1
    converged: bool = False
    """Whether the search ended by itself, since it proposed nothing new any more."""
    learner_seconds: float = 0.0
    """Measured, of this machine: what proposing and learning took."""


class _ObservedJournal(SqliteJournal):
    """A journal in memory that notes in a `Run` what is written to it, at the time of a simulated clock."""

    def __init__(self, search: str, table: Table, objective: str, run: Run) -> None:
        super().__init__(":memory:", search)
        self.clock: Callable[[], float] = lambda: 0.0
        self.objectives = table.columns[objective]
        self.rows: dict[int, int | None] = {}
        """Of the table, by trial."""
        self._row = partial(table.row, column=objective)
        self._notes = run

    def write(self, *records: Record) -> "Future[None]":
        """See `Journal`."""
        for record in records:
            match record:
                case BatchSampled(trials=trials):
                    self.rows.update((trial.trial, self._row(_values(trial.architecture))) for trial in trials)
                case TrialFinished(trial=trial, state=state, device_seconds=seconds):
                    row = self.rows[trial]
                    self._notes.rows.append(FAILED if row is None or state is TrialState.FAILED else row)
                    self._notes.finished_at.append(self.clock())
                    self._notes.device_seconds.append(seconds)
                case PolicyUpdated(lag=lag):
                    self._notes.lags.append(lag)
        return super().write(*records)


def _values(text: str) -> list[Value]:
    architecture = parse_architecture(text)
    assert isinstance(architecture, Discrete)
    return [decision.value for decision in architecture.decisions]


class _Simulation:
    """A search, workers that train by the clock, and what happens to them when."""

    def __init__(self, manifest: NASSearch, journal: _ObservedJournal, run: Run, seconds: NDArray[np.float64]) -> None:
        self.clock = 0.0
        self._journal, self._run, self._seconds = journal, run, seconds
        self._runner = LocalJobRunner(manifest.spec)
        self._engine = Engine(manifest, journal, self._runner)
        self._job_running = False
        self._idle_since = [0.0] * run.workers  # of those without an architecture
        # The count keeps the order of what happens at the same time.
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    @property
    def ended(self) -> bool:
        """Whether the search has ended by itself: it proposes nothing new."""
        return self._engine.verdict.final

    def step(self, job_seconds: float) -> None:
        """Goes on by one job of the learner, or to the next thing that happens.

        Raises:
            StalledError: nothing will ever happen.
        """
        self._grant()
        if not self._job_running and (job := self._next_job()):
            began = time.perf_counter()
            result = self._runner.run(job)
            self._run.learner_seconds += time.perf_counter() - began
            self._job_running = True
            if job_seconds:
                self._at(self.clock + job_seconds, partial(self._absorb, result))
            else:
                self._absorb(result)
            return
        if not self._events:
            raise StalledError(f"after {len(self._run.rows)} trials the search proposes nothing more")
        self.clock, _, happen = heapq.heappop(self._events)
        happen()

    def end(self) -> None:
        """Counts what is under way."""
        self._run.seconds = self.clock
        self._run.idle_seconds += sum(self.clock - since for since in self._idle_since)

    def _next_job(self) -> SampleJob | LearnJob | None:
        return self._engine.next_job(wanted_trials(self._engine, len(self._idle_since)))

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._count), happen))

    def _absorb(self, result: Sampled | Learned) -> None:
        self._job_running = False
        self._engine.absorb(result)
        self._grant()

    def _grant(self) -> None:
        while self._idle_since and (granted := self._engine.grant("simulated", None)):
            lease, trial, _ = granted
            self._run.idle_seconds += self.clock - self._idle_since.pop()
            row = self._journal.rows[trial.trial]
            # One whose architecture has no row fails after as long as another takes to train.
            seconds = float(self._seconds.mean() if row is None else self._seconds[row])
            self._at(self.clock + seconds, partial(self._complete, lease, row, seconds))

    def _complete(self, lease: Lease, row: int | None, seconds: float) -> None:
        self._idle_since.append(self.clock)
        if row is None:
            result = TrialResult(TrialState.FAILED, reason="NotInTable", message="the table has no such result")
        else:
            measured = Measurement(1, {METRIC: float(self._journal.objectives[row])}, seconds)
            result = TrialResult(TrialState.SUCCEEDED, (measured,))
        result = replace(result, train_seconds=seconds, device_seconds=seconds)
        self._engine.complete(lease, result)


def simulate(
    manifest: NASSearch,
    table: Table,
    objective: str,
    seconds: NDArray[np.float64],
    *,
    evaluations: int,
    workers: int = 1,
    until: float = 0.0,
    job_seconds: float = 0.0,
) -> Run:
    """Searches a table.

    Args:
        manifest: of a search of the table's space (`build_manifest`).
        table: with the column `objective`. An architecture without a number in it is a failed trial.
        objective: the column that trials report.
        seconds: that the architecture of each row trains, shape [rows].
        evaluations: trials to finish at least, repeated architectures and failed trials included. A search that ends by
            itself before is done: it has converged.
        workers: that train at the same time.
        until: simulated seconds to go on for at least.
        job_seconds: simulated seconds that each job of the learner takes, a sampling or some updates.

    Raises:
        StalledError: the search proposes nothing while all its workers wait.
    """
    run = Run(manifest.spec.seed, workers=workers)
    with _ObservedJournal(manifest.full_name, table, objective, run) as journal:
        simulation = _Simulation(manifest, journal, run, seconds)
        journal.clock = lambda: simulation.clock
        while (len(run.rows) < evaluations or simulation.clock < until) and not simulation.ended:
            simulation.step(job_seconds)
        simulation.end()
        run.converged = simulation.ended
        journal.write().result()  # a record that contradicts another shows here
    return run
