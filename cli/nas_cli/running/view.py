"""`View`: what a person sees while a search runs, and how long it will take."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from nas_api.spec.base import parse_duration
from rich.console import Console

from nas_cli.running.course import Course, FinishedTrial
from nas_cli.running.local_run import Phase

PHASES = {
    Phase.DRAINING: "workers finish what they train, then the run ends (Ctrl-C again: give it back now)",
    Phase.ENDING: "the search has ended, workers go",
    Phase.RELEASING: "workers give back what they train (Ctrl-C again: kill them)",
    Phase.CLOSING: "the controller closes its journal",
}
"""What a run does when it does not just go on."""


def final_stage_line(finished: int, total: int) -> str:
    """How far the second stage has come, in words."""
    return f"final training of the best architectures: {finished} of {total} trainings finished"


class WatchedWorker(Protocol):
    """A worker, as a view shows it."""

    @property
    def running(self) -> bool:
        """Whether it is there."""

    @property
    def ended(self) -> bool:
        """Whether it has gone for good."""

    @property
    def hopeless(self) -> str:
        """Why it is not started again; empty: it may be."""


class WatchedRun(Protocol):
    """What a view shows: a run of this machine, or a search whose controller is elsewhere."""

    @property
    def phase(self) -> Phase:
        """How far it has come."""

    @property
    def summary(self) -> pb.Summary | None:
        """As the controller gave it last."""

    @property
    def answering(self) -> bool:
        """Whether the controller answered the last time."""

    @property
    def events(self) -> list[str]:
        """What a person should hear of, in order; the reader clears it."""

    @property
    def workers(self) -> Mapping[str, WatchedWorker]:
        """By name."""


class View(ABC):
    """Shows a run, in a `with` block in which `update` is called often."""

    def __init__(self, search: NASSearch, where: str, console: Console) -> None:
        """Shows nothing yet.

        Args:
            search: the manifest.
            where: the state directory, as the user wrote it.
            console: where to print.
        """
        self.search = search
        self.where = where
        self.console = console
        self._summary: pb.Summary | None = None
        self._read_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, run: WatchedRun, course: Course | None, new: Sequence[FinishedTrial]) -> None:
        """Shows how the run stands.

        Args:
            run: the processes, and what the controller said last.
            course: the search's rewards, once the controller has answered.
            new: trials that have finished since the last call.
        """
        if run.summary is not self._summary:
            self._summary, self._read_at = run.summary, time.monotonic()
        for event in run.events:
            self.say(event)
        run.events.clear()
        self.show(run, course, new)

    @abstractmethod
    def show(self, run: WatchedRun, course: Course | None, new: Sequence[FinishedTrial]) -> None:
        """See `update`."""

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def elapsed(self) -> float:
        """Seconds that the search has run, earlier runs included, and without its pauses."""
        if self._summary is None:
            return 0.0
        runs = self._summary.state in (pb.Summary.RUNNING, pb.Summary.STATE_UNSPECIFIED)
        return self._summary.elapsed_seconds + (time.monotonic() - self._read_at if runs else 0.0)

    def remaining(self, summary: pb.Summary | None, course: Course | None) -> float | None:
        """Seconds until the budget is spent, at the pace of this run. None: not known yet."""
        if summary is not None and (summary.final_trainings or summary.state == pb.Summary.SUSPENDED):
            return None  # the budget is spent, or is not being spent
        bounds = []
        budget = self.search.spec.budget
        if budget.max_duration is not None:
            bounds.append(parse_duration(budget.max_duration).total_seconds() - self.elapsed())
        if budget.max_trials is not None and summary is not None:
            pace = self._pace(summary, course)
            if pace is None:  # it may well be less than what the other bound allows
                return None
            bounds.append(pace * (budget.max_trials - summary.trials_finished))
        return max(0.0, min(bounds)) if bounds else None

    def _pace(self, summary: pb.Summary, course: Course | None) -> float | None:
        """Seconds between two trials that finish: what the last ones took, shared out over the workers."""
        workers = sum(worker.alive for worker in summary.workers)
        if course is None or not course.new or not workers:
            return None
        return sum(trial.record.train_seconds for trial in course.new) / len(course.new) / workers
