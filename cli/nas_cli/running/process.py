"""`SupervisedProcess`: a process that is started again when it dies, until it is clear that this does not help."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

EX_CONFIG = 78  # sysexits.h: what a controller or worker exits with when its configuration cannot work
_MOST_FAILURES = 5  # in a row, without progress between them
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 10.0  # seconds
_TAIL_LINES = 12
_PROGRAM = re.compile(r"^nas_(controller|child): ")  # how the last line of one that cannot work begins
_END_WITH_PARENT = (sys.executable, "-m", "nas_cli.running.end_with_parent")


class SupervisedProcess:
    """A program with a log, started again with growing delays when it dies.

    It runs in a session of its own, so that Ctrl-C in the terminal reaches only `nas run`, which then ends it in order.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        log: Path,
        *,
        keep_open: Sequence[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts nothing yet.

        Args:
            name: for messages.
            command: gives the command line at each start.
            log: file that its output is appended to.
            keep_open: file descriptors that it inherits.
            clock: seconds.
        """
        self.name = name
        self.log = log
        self.restarts = 0
        self.hopeless = ""
        """Why it is not started again; empty while there is hope."""
        self.exit_status: int | None = None
        """Of the last time that it ended."""
        self._command = command
        self._keep_open = keep_open
        self._clock = clock
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._failures = 0
        self._start_at: float | None = None
        self._asked_to_end = False

    @property
    def running(self) -> bool:
        """Whether the process lives, as of the last `supervise`."""
        return self._popen is not None

    @property
    def ended(self) -> bool:
        """Whether it has exited as it should, or there is no hope for it."""
        return self._popen is None and (self.exit_status == 0 or bool(self.hopeless))

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Starts it now.

        Raises:
            OSError: its log cannot be written, or the program cannot be executed.
        """
        self._start_at = None
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                [*_END_WITH_PARENT, str(os.getpid()), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self._keep_open,
                start_new_session=True,
            )

    def supervise(self, *, restart: bool = True) -> None:
        """Notices that it has ended, and starts it again when its delay is over, unless `restart` is false."""
        if self._popen is not None:
            status = self._popen.poll()
            if status is None:
                return
            self._popen = None
            self.exit_status = status
            if status == 0 or not restart:
                return
            self._failures += 1
            if status == EX_CONFIG:
                self.hopeless = f"{self.name} cannot work with this configuration: {self._last_error()}"
            elif self._failures > _MOST_FAILURES:
                self.hopeless = (
                    f"{self.name} died {self._failures} times in a row, the last time {describe_exit(status)}. "
                    f"Its log is {self.log}, and ends in:\n{self.last_words()}"
                )
            else:
                self._start_at = self._clock() + min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** (self._failures - 1))
        elif restart and self._start_at is not None and self._clock() >= self._start_at:
            self.restarts += 1
            self.start()

    def made_progress(self) -> None:
        """It has done something useful: earlier failures no longer count."""
        self._failures = 0

    def terminate(self) -> None:
        """Asks it to end, once, and does not start it again."""
        self._start_at = None
        if not self._asked_to_end:  # asked twice, a worker would not give its architecture back
            self._asked_to_end = True
            self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and all that it has started, at once."""
        self._start_at = None
        self._send(signal.SIGKILL, group=True)

    def wait(self, timeout: float) -> bool:
        """Waits for its end, at most `timeout` seconds. Whether it has ended."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self.supervise(restart=False)
        return True

    def last_words(self) -> str:
        """The last lines that it wrote since its last start."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - 65_536))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.strip()][-_TAIL_LINES:])

    def _last_error(self) -> str:
        """The reason that one that cannot work ends with: its last line."""
        return _PROGRAM.sub("", (self.last_words().splitlines() or [f"see {self.log}"])[-1])

    def _send(self, signum: signal.Signals, *, group: bool = False) -> None:
        if self._popen is None or self._popen.poll() is not None:
            return
        if group:
            os.killpg(self._popen.pid, signum)
        else:
            self._popen.send_signal(signum)


def describe_exit(status: int) -> str:
    """An exit status as subprocess gives it, in words."""
    if status < 0:
        return f"by signal {signal.Signals(-status).name}"
    return f"with exit status {status}"
