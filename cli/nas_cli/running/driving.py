"""Drives a run from its start to its end, and lets the person at the terminal end it earlier."""

import signal
import time
from contextlib import ExitStack
from types import FrameType

from nas_cli.failure import Failure
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

    def __init__(self) -> None:
        self.status = 0
        """Exit status that the first signal asks for; 0: there was none."""
        self._interrupts = 0
        self._end = False
        self._previous = {
            signum: signal.signal(signum, self._note) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }

    def restore(self) -> None:
        """Puts the former handlers back."""
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def obey(self, run: LocalRun) -> None:
        """Does what was asked for since the last call."""
        if self._interrupts >= 3:
            run.kill()
        elif self._interrupts == 2 or self._end:
            run.release()
        elif self._interrupts == 1:
            run.drain()

    def _note(self, signum: int, _: FrameType | None) -> None:
        # No more than that: it may come in the middle of anything.
        if signum == signal.SIGINT:
            self._interrupts += 1
        else:
            self._end = True
        self.status = self.status or 128 + signum


def drive(run: LocalRun, view: View, directory: StateDirectory) -> int:
    """Runs to the end. Returns the exit status that a signal asks for, or 0.

    Raises:
        Failure: the logs cannot be written.
    """
    signals = Signals()
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
            signals.obey(run)
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
