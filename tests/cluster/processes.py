"""Processes that outlive whoever started them, on record so that only they are ended.

A record is a file with the process id and the time the process started at. The time tells a process of ours from
a stranger that got the same id after ours had ended.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.debian import PATH


@dataclass(frozen=True)
class ProcessRecord:
    """A process at one moment of the machine's life."""

    pid: int
    started: int  # clock ticks since the machine started, /proc/PID/stat field 22

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord | None":
        """The record of a running process; None where there is none, or only a zombie."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def parse(cls, text: str) -> "ProcessRecord":
        """Reads what `str` wrote."""
        pid, started = text.split()
        return cls(int(pid), int(started))

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessRecord.of(self.pid) == self

    def kill(self) -> None:
        """Ends it, if it still runs."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    @property
    def resident_bytes(self) -> int:
        """The memory it holds (RSS); 0 if it has ended."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            return 0


def children_of(pid: int) -> list[int]:
    """The children of the main thread of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass
class Processes:
    """The processes of a cluster.

    Attributes:
        records: Directory of the records.
        logs: Directory of their output, `NAME.log`.
        wrapper: Put before each command, such as `nsenter --net=FILE`.
        end_with_us: Whether the kernel ends them when the thread that started them ends, so that a test session
            that was killed leaves none behind.
    """

    records: Path
    logs: Path
    wrapper: Sequence[str] = ()
    end_with_us: bool = False
    _children: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path]) -> int:
        """Starts a process in a session of its own and returns its id."""
        for directory in (self.records, self.logs):
            directory.mkdir(parents=True, exist_ok=True)
        dying = ["setpriv", "--pdeathsig", "KILL"] if self.end_with_us else []
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [*dying, *self.wrapper, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.records.parent,
                env={**os.environ, "PATH": PATH},
            )
        self._children[child.pid] = child
        pid = self._wait_for_wrapped(child) if self.wrapper else child.pid
        (self.records / name).write_text(str(ProcessRecord.of(pid) or f"{pid} 0"))
        return pid

    def _wait_for_wrapped(self, wrapper: "subprocess.Popen[bytes]") -> int:
        """The id of the one child of the wrapper, which forks to enter a namespace of processes."""
        while wrapper.poll() is None:
            if children := children_of(wrapper.pid):
                return children[0]
            time.sleep(0.005)
        return wrapper.pid

    def all(self) -> dict[str, ProcessRecord]:
        """The processes on record, in the order they were started in."""
        try:
            files = sorted(self.records.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        except FileNotFoundError:
            return {}
        return {file.name: ProcessRecord.parse(file.read_text()) for file in files}

    def check(self) -> None:
        """Raises RuntimeError, with the end of its log, if a process on record has ended."""
        for child in self._children.values():
            child.poll()
        for name, record in self.all().items():
            if not record.is_alive:
                raise RuntimeError(f"{name} has ended. The end of {self.logs / name}.log:\n{self.end_of_log(name)}")

    def end_of_log(self, name: str, lines: int = 20) -> str:
        """The last lines that a process wrote."""
        return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    def kill_all(self) -> None:
        """Ends the processes on record at once: all that they might still save is thrown away with the cluster."""
        records = self.all()
        for record in records.values():
            record.kill()
        while any(record.is_alive for record in records.values()):
            for child in self._children.values():
                child.poll()  # a zombie of ours
            time.sleep(0.01)
        for child in self._children.values():
            child.wait()
        self._children.clear()
        for name in records:
            (self.records / name).unlink()
