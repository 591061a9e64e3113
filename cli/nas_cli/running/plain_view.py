"""`PlainView`: a line for each finished trial, for logs and pipes."""

import time
from collections.abc import Sequence

from nas_api.spec import NASSearch
from nas_controller.journal.journal import TrialState
from rich.console import Console

from nas_cli import wording
from nas_cli.running.course import Course, FinishedTrial
from nas_cli.running.local_run import Phase
from nas_cli.running.view import PHASES, View, WatchedRun, final_stage_line

_QUIET = 10.0  # seconds after which a line says that the search still runs


class PlainView(View):
    """Prints a line whenever something happens, or nothing has for a while."""

    def __init__(self, search: NASSearch, where: str, console: Console) -> None:
        super().__init__(search, where, console)
        self._spoke = time.monotonic()
        self._phase = Phase.RUNNING
        self._problem = ""
        self._final = (0, 0)  # trainings of the second stage: finished, of

    def show(self, run: WatchedRun, course: Course | None, new: Sequence[FinishedTrial]) -> None:
        """Prints what is new."""
        bound = self.search.spec.budget.max_trials
        for trial in new:
            count = f"{trial.record.sequence}/{bound}" if bound else f"{trial.record.sequence}"
            best = f"best {course.best.record.reward:.4f}" if course and course.best else "no success yet"
            self._tell(f"{count} {_trial_line(trial, self.search)}; {best}{self._time_left(run, course)}")
        if run.phase is not self._phase:
            self._phase = run.phase
            if run.phase in PHASES:
                self._tell(PHASES[run.phase])
        final = (run.summary.final_trainings_finished, run.summary.final_trainings) if run.summary else (0, 0)
        if final != self._final:
            self._final = final
            if final[1]:
                self._tell(final_stage_line(*final))
        problem = run.summary.journal_problem if run.summary else ""
        if problem != self._problem:
            self._problem = problem
            self._tell(f"nothing can be written: {problem}" if problem else "the journal can be written again")
        if time.monotonic() - self._spoke >= _QUIET:
            self._tell(self._still_running(run, course))

    def _still_running(self, run: WatchedRun, course: Course | None) -> str:
        if run.summary is None:
            return "waiting for the controller"
        training = sum(worker.trial_id > 0 for worker in run.summary.workers)
        if run.summary.final_trainings:
            return f"{final_stage_line(run.summary.final_trainings_finished, run.summary.final_trainings)}"
        return f"{run.summary.trials_finished} trials finished, {training} in training{self._time_left(run, course)}"

    def _time_left(self, run: WatchedRun, course: Course | None) -> str:
        left = self.remaining(run.summary, course)
        return "" if left is None or run.phase is not Phase.RUNNING else f", about {wording.duration(left)} left"

    def _tell(self, text: str) -> None:
        self._spoke = time.monotonic()
        self.say(text)


def _trial_line(trial: FinishedTrial, search: NASSearch) -> str:
    record = trial.record
    if record.state is TrialState.FAILED:
        message = record.message.partition("\n")[0]
        return f"trial {record.sampled.trial} failed: {record.reason}: {message}"
    metric = "" if trial.metric is None else f", {search.spec.reward.metric} {trial.metric:.4g}"
    size = f", {wording.count(record.sampled.parameters)} parameters" if record.sampled.parameters else ""
    return f"trial {record.sampled.trial} reward {record.reward:.4f}{metric}{size}, {wording.took(record)}"
