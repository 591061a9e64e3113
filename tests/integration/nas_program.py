"""`nas` as a user runs it: as a program, in a directory of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import grpc
from nas_api.certificates import channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc
from nas_controller.journal.journal import JournalError, Recovered, TrialRecord, TrialState
from nas_controller.journal.reader import SqliteReader

from tests.integration.prometheus_text import url_in

PATIENCE = 240.0  # seconds; only a test that fails waits so long
NAS = (sys.executable, "-m", "nas_cli")
# Networks that train in a tenth of a second.
SPACE = "{layers: {initial: 2, increment: 0, max: 2}, filterHeights: [1, 3], filterWidths: [1, 3], filters: [8]}"
# There are only sixteen: a search that replayed those that come again would be over in seconds, whatever its budget.
_CONTROLLER = (
    "  controller: {duplicates: Train, policy: {hiddenSize: 8}, parallelism: {batchSize: 2, parameterShards: 2}}"
)
# A task of a user that trains nothing. With `hold`, a trial waits for that file, and says before which process it is.
TASK = """\
import os, time
from pathlib import Path

def train(trial, report):
    hold = trial.parameters.get("hold")
    if hold and not Path(hold).exists():
        Path(trial.parameters["says"]).write_text(str(os.getpid()))
        while not Path(hold).exists():
            time.sleep(0.02)
    if broken := trial.parameters.get("broken"):
        raise RuntimeError(broken)
    report(1, accuracy=0.5)
"""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Waits for a condition.

    Raises:
        AssertionError: it does not come true.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def descendants(pid: int) -> dict[int, str]:
    """All processes that descend from `pid` and live, with their command lines."""
    parents, commands = {}, {}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            state, parent = (directory / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if state not in "ZX":
            parents[int(directory.name)], commands[int(directory.name)] = int(parent), command
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return {child: commands[child] for child in found - {pid}}
        found |= more


def is_alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Program:
    """A `nas` that runs, with its output in a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def output(self) -> str:
        """What it has printed so far, on stdout and stderr."""
        return self._output.read_text()

    def children(self, word: str) -> list[int]:
        """Its children that run `word`, such as `nas_controller`."""
        return [
            pid
            for pid, command in descendants(self.process.pid).items()
            if f"-m {word} " in command and parent_of(pid) == self.process.pid
        ]

    def child(self, word: str) -> int:
        """Its one child that runs `word`, as soon as there is one."""
        wait_until(lambda: self.children(word) or self.process.poll() is not None, f"a process {word}")
        (pid,) = self.children(word)
        return pid

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to the terminal's foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Waits for its end. Its exit status."""
        return self.process.wait(PATIENCE)


def parent_of(pid: int) -> int:
    """Process id of a process's parent; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Workplace:
    """A directory with a manifest, from which a user runs `nas`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = directory / "search.yaml"
        self.state = directory / "state"
        self._programs: list[Program] = []

    def write_manifest(self, *lines: str, trials: int = 6, name: str = "tiny") -> None:
        """A search on `digits`, one epoch a trial; `lines` are added to the spec, indented by two."""
        self.manifest.write_text(
            "\n".join(
                [
                    "apiVersion: kubenas.dev/v1alpha1",
                    "kind: NASSearch",
                    f"metadata: {{name: {name}}}",
                    "spec:",
                    f"  searchSpace: {{convNet: {SPACE}}}",
                    *(() if any("controller:" in line for line in lines) else (_CONTROLLER,)),
                    *(lines or ("  trainer: {epochs: 1, dataset: {path: digits}}",)),
                    *(() if any("budget:" in line for line in lines) else (f"  budget: {{maxTrials: {trials}}}",)),
                    "",
                ]
            )
        )

    def write_task(self, *, trials: int = 6, failures: int = 50, **parameters: str) -> None:
        """A search whose trials run `TASK` with `parameters`."""
        (self.directory / "own_task.py").write_text(TASK)
        listed = ", ".join(f"{key}: {value!r}" for key, value in parameters.items())
        self.write_manifest(
            f"  trainer: {{task: 'own_task:train', parameters: {{{listed}}}}}",
            "  reward: {metric: accuracy}",
            f"  budget: {{maxTrials: {trials}, maxConsecutiveFailures: {failures}}}",
        )

    def nas(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end."""
        return subprocess.run(
            [*NAS, *map(str, arguments)],
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def run(self, *options: object) -> "subprocess.CompletedProcess[str]":
        """`nas run` to its end."""
        return self.nas("run", self.manifest, "--state", self.state, "--device", "cpu", "--workers", 1, *options)

    def start(self, *options: object, workers: int = 1) -> Program:
        """Starts `nas run`."""
        output = self.directory / f"output-{len(self._programs)}"
        arguments = ("run", self.manifest, "--state", self.state, "--device", "cpu", "--workers", workers, *options)
        with output.open("wb") as file:
            process = self._popen(arguments, file)
        self._programs.append(Program(process, output))
        return self._programs[-1]

    def _popen(self, arguments: tuple[object, ...], output: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*NAS, *map(str, arguments)],
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    @staticmethod
    def _environment() -> dict[str, str]:
        return os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}

    def clean_up(self) -> None:
        """Ends what a test that failed has left running."""
        for program in self._programs:
            if program.process.poll() is None:
                left = descendants(program.process.pid)
                for pid in (program.process.pid, *left):
                    os.kill(pid, signal.SIGKILL)
                program.process.wait()

    # What the journal says. -------------------------------------------------------------------------------------------

    def finished(self) -> list[TrialRecord]:
        """Trials that have finished so far."""
        try:
            with SqliteReader(self.state / "journal.sqlite") as journal:
                return journal.finished(measurements=True)
        except JournalError:  # not there yet
            return []

    def recovered(self) -> Recovered:
        """Where the search stands."""
        with SqliteReader(self.state / "journal.sqlite") as journal:
            return journal.recover()

    def summary(self) -> pb.Summary:
        """What the controller says of a search that runs."""
        address = (self.state / "controller.address").read_text()
        with grpc.secure_channel(address, channel_credentials(self.state / "certificates" / "admin")) as channel:
            return rpc.SearchServiceStub(channel).GetSummary(pb.GetSummaryRequest(), timeout=20, wait_for_ready=True)

    def metrics_url(self) -> str:
        """Where a search that runs with `--metrics` serves them."""
        return url_in((self.state / "logs" / "controller.log").read_text())

    def wait_for_trials(self, count: int, program: Program) -> None:
        """Waits until so many trials have finished."""
        wait_until(lambda: len(self.finished()) >= count or program.process.poll() is not None, f"{count} trials")
        assert len(self.finished()) >= count, program.output

    def assert_complete(self, trials: int) -> None:
        """Each trial has one result, all are learnt from, and no lease is left."""
        records = self.finished()
        assert sorted(record.sampled.trial for record in records) == list(range(1, trials + 1))
        assert [record.sequence for record in records] == list(range(1, trials + 1))
        assert all(record.state is TrialState.SUCCEEDED for record in records), records
        recovered = self.recovered()
        assert recovered.search_state == "SUCCEEDED"
        assert recovered.leases == ()
        assert recovered.batches == ()
        assert recovered.version == -(-trials // 2)  # one update for each batch of two
