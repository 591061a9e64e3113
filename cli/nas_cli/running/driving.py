"""Drives a run from its start to its end, and lets the person at the terminal end it earlier."""

import signal
import time
from contextlib import ExitStack
from types import FrameType

from nas_cli.failure import INTERRUPTED, Failure
from nas_cli.results import open_results
from nas_cli.running.course import Course, FinishedTrial
from nas_cli.running.local_run import LocalRun, Phase
from nas_cli.running.view import View
from nas_cli.state_directory import StateDirectory

_STEP = 0.1  # seconds between two looks


class Signals:
    """Ctrl-C once: workers finish what they train. Twice: they give it back. Three times: everything is killed.

    SIGTERM and SIGHUP give back at once: who sends them does not wait.
    """

    def __init__(self, run: LocalRun) -> None:
        self.status = 0
        """Exit status that the first signal asks for; 0: there was none."""
        self._run = run
        self._interrupts = 0
        self._previous = {
            signum: signal.signal(signum, self._handle) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }

    def restore(self) -> None:
        """Puts the former handlers back."""
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        self.status = self.status or (INTERRUPTED if signum == signal.SIGINT else 128 + signum)
        if signum != signal.SIGINT:
            self._run.release()
            return
        self._interrupts += 1
        (self._run.drain, self._run.release, self._run.kill)[min(self._interrupts, 3) - 1]()


def drive(run: LocalRun, view: View, directory: StateDirectory) -> int:
    """Runs to the end. Returns the exit status that a signal asks for, or 0.

    Raises:
        Failure: the logs cannot be written.
    """
    signals = Signals(run)
    with ExitStack() as stack:
        stack.callback(signals.restore)
        stack.callback(run.kill)
        try:
            run.start()
        except OSError as error:
            raise Failure(f"cannot write to the state directory {directory.path}: {error}") from error
        stack.enter_context(view)
        reading = stack.enter_context(ExitStack())
        course: Course | None = None
        while run.phase is not Phase.DONE:
            run.step()
            new: list[FinishedTrial] = []
            if run.phase < Phase.CLOSING and run.summary is not None:
                course = course or Course(reading.enter_context(open_results(directory.path)))
                new = course.read()
            elif run.phase is Phase.CLOSING:
                reading.close()  # so that the controller is the journal's last user, and tidies it up
            for trial in new:
                run.made_progress(trial.record.worker)
            view.update(run, course, new)
            time.sleep(_STEP)
        return signals.status
