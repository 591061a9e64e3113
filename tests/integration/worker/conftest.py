"""A worker as a process of its own, and a controller whose decisions a test makes.

`ScriptedController` is the worker's counterpart: a real gRPC server with mutual TLS that assigns what the test says and
keeps what it hears.
"""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import yaml
from nas_api.architectures import ConvNet, Convolution, Layer
from nas_api.certificates import CertificateAuthority, Identity, server_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc

SEARCH = "default/worker-test"
PATIENCE = 240.0
ARCHITECTURE = ConvNet(layers=(Layer(operation=Convolution(filter_height=3, filter_width=3, filters=4)),)).to_json()


@dataclass
class ScriptedController(trials_pb2_grpc.TrialServiceServicer):
    """Assigns the architectures that a test puts in, and keeps what workers say of them."""

    certificates: Path
    heartbeat_seconds: float = 0.2
    report_seconds: float = 0.0
    registered: list[pb.RegisterRequest] = field(default_factory=list)
    leased: dict[int, str] = field(default_factory=dict)  # request id of each trial
    reports: list[pb.ReportRequest] = field(default_factory=list)
    completed: dict[int, pb.CompleteRequest] = field(default_factory=dict)
    released: dict[int, pb.ReleaseRequest] = field(default_factory=dict)
    actions: dict[int, "pb.ReportReply.Action.ValueType"] = field(default_factory=dict)
    fail_next: dict[str, list[grpc.StatusCode]] = field(default_factory=dict)  # by method
    retired: bool = False
    waiting: bool = False  # whether a worker waits for an architecture
    hold_back_assignments: bool = False  # from the call that waits: only a new one is answered
    lose_next_lease: bool = False  # the answer of the next assignment does not arrive
    address: str = "127.0.0.1:0"

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self._pending: list[pb.Assignment] = []
        self._given: dict[str, pb.Assignment] = {}  # by request id
        self._numbers = itertools.count(1)

    # What a test does. ----------------------------------------------------------------------------------------------

    def assign(self, architecture: str = ARCHITECTURE, seed: int = 0) -> int:
        """Puts an architecture in, to be assigned to the next worker that asks. Returns the trial's number."""
        trial = next(self._numbers)
        with self.changed:
            self._pending.append(
                pb.Assignment(lease=str(trial), trial_id=trial, architecture=architecture, seed=seed, attempt=1)
            )
            self.changed.notify_all()
        return trial

    def wait_until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Waits until something that the worker says makes the condition true."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), f"not within {PATIENCE} s: {what or condition}"

    def result_of(self, trial: int) -> pb.CompleteRequest:
        """Waits for the result of a trial."""
        self.wait_until(lambda: trial in self.completed or trial in self.released, f"trial {trial} ends")
        assert trial in self.completed, self.released
        return self.completed[trial]

    def release_of(self, trial: int) -> pb.ReleaseRequest:
        """Waits until a trial is given back."""
        self.wait_until(lambda: trial in self.completed or trial in self.released, f"trial {trial} ends")
        assert trial in self.released, self.completed
        return self.released[trial]

    def measured(self, trial: int) -> list[pb.Measurement]:
        """What heartbeats have brought of a trial."""
        return [m for report in self.reports if report.lease == str(trial) for m in report.measurements]

    def retire(self) -> None:
        """Answers the next request for an architecture with `Retire`."""
        with self.changed:
            self.retired = True

    # The service. ---------------------------------------------------------------------------------------------------

    async def _begin(self, method: str, context: Any) -> None:
        if self.fail_next.get(method):
            with self.changed:
                code = self.fail_next[method].pop(0)
                self.changed.notify_all()
            await context.abort(code, "as the test wants it")

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.RegisterReply:  # noqa: N802
        await self._begin("Register", context)
        with self.changed:
            self.registered.append(request)
            self.changed.notify_all()
        return pb.RegisterReply(
            epoch=1,
            lease_seconds=10,
            heartbeat_seconds=self.heartbeat_seconds,
            report_seconds=self.report_seconds,
        )

    async def Lease(self, request: pb.LeaseRequest, context: Any) -> pb.LeaseReply:  # noqa: N802
        await self._begin("Lease", context)
        give_up = time.monotonic() + request.wait_seconds
        first = True
        while True:
            with self.changed:
                if first or not self.hold_back_assignments:
                    self._give(request.request_id)
                if request.request_id in self._given:
                    if self.lose_next_lease:
                        self.lose_next_lease = False
                        await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
                    return pb.LeaseReply(assignment=self._given[request.request_id])
                if self.retired:
                    return pb.LeaseReply(retire=pb.Retire(reason="the test is over"))
                self.waiting, first = True, False
                self.changed.notify_all()
            if time.monotonic() > give_up:
                return pb.LeaseReply(nothing=pb.Nothing(reason="NonePending"))
            await asyncio.sleep(0.01)

    def _give(self, request_id: str) -> None:
        if request_id not in self._given and self._pending:
            assignment = self._given[request_id] = self._pending.pop(0)
            self.leased[assignment.trial_id] = request_id
            self.changed.notify_all()

    async def Report(self, request: pb.ReportRequest, context: Any) -> pb.ReportReply:  # noqa: N802
        await self._begin("Report", context)
        with self.changed:
            self.reports.append(request)
            self.changed.notify_all()
        return pb.ReportReply(action=self.actions.get(int(request.lease), pb.ReportReply.CONTINUE))

    async def Complete(self, request: pb.CompleteRequest, context: Any) -> pb.CompleteReply:  # noqa: N802
        await self._begin("Complete", context)
        with self.changed:
            status = pb.CompleteReply.DUPLICATE if int(request.lease) in self.completed else pb.CompleteReply.ACCEPTED
            self.completed.setdefault(int(request.lease), request)
            self.changed.notify_all()
        return pb.CompleteReply(status=status)

    async def Release(self, request: pb.ReleaseRequest, context: Any) -> pb.ReleaseReply:  # noqa: N802
        await self._begin("Release", context)
        with self.changed:
            self.released[int(request.lease)] = request
            self.changed.notify_all()
        return pb.ReleaseReply()

    # Serving, in a thread: tests and their conditions are plain code. ------------------------------------------------

    def start(self) -> None:
        """Starts to serve; again at the same address after `stop`."""
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(PATIENCE)

    def _serve(self, started: threading.Event) -> None:
        async def run() -> None:
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            trials_pb2_grpc.add_TrialServiceServicer_to_server(self, server)
            port = server.add_secure_port(self.address, server_credentials(self.certificates))
            self.address = f"127.0.0.1:{port}"
            await server.start()
            self._stop = asyncio.Event()
            started.set()
            await self._stop.wait()
            await server.stop(None)

        self._loop.run_until_complete(run())
        self._loop.close()

    def stop(self) -> None:
        """Stops to serve, as a controller that is killed does."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@dataclass
class WorkerProcess:
    """A worker that runs."""

    process: "subprocess.Popen[bytes]"
    directory: Path
    log_file: Path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text()

    def trial_log(self, trial: int) -> str:
        """What a trial has written, as it is kept."""
        return (self.directory / f"logs/trials/{trial:06}.log").read_text()

    def children(self) -> list[int]:
        """The fork server."""
        return children_of(self.process.pid)

    def trial_pids(self) -> list[int]:
        """The processes of trials."""
        return [pid for server in self.children() for pid in children_of(server)]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Waits for its end. Returns its exit status."""
        return self.process.wait(PATIENCE)


def children_of(pid: int) -> list[int]:
    """Processes that were started by another."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Waits for something that nobody announces."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"not within {PATIENCE} s: {what}"
        time.sleep(0.02)


def write_manifest(path: Path, trainer: Mapping[str, Any]) -> Path:
    """A manifest of the search of these tests."""
    metric = "val_accuracy" if trainer["task"] == "image-classification" else "score"
    manifest = {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": SEARCH.partition("/")[2]},
        "spec": {"trainer": dict(trainer), "reward": {"metric": metric}},
    }
    path.write_text(yaml.safe_dump(manifest))
    return path


def write_certificates(directory: Path) -> None:
    """A certificate of the controller in `directory/server`, and of a worker in `directory/worker`."""
    authority = CertificateAuthority.create(SEARCH, timedelta(days=1))
    authority.issue(Identity(SEARCH, "controller"), ["localhost"], ["127.0.0.1"]).write(directory / "server")
    authority.issue(Identity(SEARCH, "pool", "default")).write(directory / "worker")


def start_worker(
    directory: Path,
    address: str,
    *,
    certificates: Path,
    arguments: tuple[str, ...] = (),
    log: str = "worker.log",
    group: Path | None = None,
) -> WorkerProcess:
    """Starts a worker in `directory`, which holds search.yaml and the module of the task.

    It and all that it starts are in the control `group`, if one is given.
    """
    enter = [] if group is None else ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs")]
    with (directory / log).open("ab") as file:
        process = subprocess.Popen(
            [
                *enter,
                *(sys.executable, "-m", "nas_child", "--manifest", "search.yaml", "--controller", address),
                *("--certificates", str(certificates), "--pool", "default", "--worker-id", "w0", "--device", "cpu"),
                *("--logs", "logs", "--cache", "cache", "--log-format", "json", *arguments),
            ],
            cwd=directory,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(directory)},
        )
    return WorkerProcess(process, directory, directory / log)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of the search of these tests."""
    directory = tmp_path_factory.mktemp("certificates")
    write_certificates(directory)
    return directory


@pytest.fixture(scope="module")
def controller(certificates: Path) -> Iterator[ScriptedController]:
    """A controller that does what the test says."""
    scripted = ScriptedController(certificates / "server")
    scripted.start()
    yield scripted
    scripted.stop()


@pytest.fixture
def fresh_controller(certificates: Path) -> Iterator[ScriptedController]:
    """The same, for one test alone."""
    scripted = ScriptedController(certificates / "server")
    scripted.start()
    yield scripted
    scripted.stop()
