"""A program as process 1 of a PID namespace, as it is in a container."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 180.0
_UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class Process1:
    """A program that runs as process 1. Skips the test where nobody may make a PID namespace."""

    def __init__(self, command: Sequence[str], log: Path, **popen: Any) -> None:
        if subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("may not make a PID namespace: that needs root, or user namespaces")
        self.log = log
        with log.open("ab") as file:
            self._unshare = subprocess.Popen([*_UNSHARE, *command], stdout=file, stderr=file, **popen)
        self.eventually(lambda: children_of(self._unshare.pid), "it is started")
        (self.pid,) = children_of(self._unshare.pid)

    def eventually(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for something that nobody announces."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert self._unshare.poll() is None, f"it ended before {what}: {self.log.read_text()}"
            assert time.monotonic() < give_up, f"not within {PATIENCE} s: {what}: {self.log.read_text()}"
            time.sleep(0.005)

    def wait_until_it_handles(self, number: signal.Signals) -> None:
        """Python itself takes a few milliseconds to start, in which process 1 gets no signal."""

        def handles() -> bool:
            status = Path(f"/proc/{self.pid}/status").read_text()
            caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
            return bool(int(caught, 16) >> (number - 1) & 1)

        self.eventually(handles, f"it handles {number.name}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal, waits for its end, and returns the exit status."""
        subprocess.run(["kill", f"-{number}", str(self.pid)], check=True)
        return self._unshare.wait(PATIENCE)

    def leave_an_orphan(self) -> None:
        """Leaves it a process that ends soon, as a shell in its container may."""
        enter = ["nsenter", "--target", str(self.pid), "--pid", "--", "sh", "-c", "sleep 0.1 & echo $!"]
        assert subprocess.run(enter, capture_output=True, check=True).stdout

    def kill(self) -> None:
        """Ends it however it stands."""
        self._unshare.kill()
        self._unshare.wait()


def children_of(pid: int) -> list[int]:
    """Process ids of its children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
