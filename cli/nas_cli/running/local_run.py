"""`LocalRun`: one controller and its workers as processes of this machine, from the first start to the last exit."""

import sys
import time
from collections.abc import Sequence
from enum import IntEnum
from functools import partial
from pathlib import Path

import grpc
from nas_api.certificates import channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from nas_cli.failure import BAD_INPUT, FAILED
from nas_cli.running.placement import Placement, count_cores
from nas_cli.running.process import EX_CONFIG, SupervisedProcess, describe_exit
from nas_cli.state_directory import StateDirectory

_POLL = 0.5  # seconds between two looks at the controller
_CALL_TIMEOUT = 2.0
_GOODBYE = 10.0  # seconds that workers have to exit by themselves when the search has ended
_RELEASE = 30.0  # seconds that workers have to give their architecture back; they take 20 at most
_CLOSE = 30.0  # seconds that the controller has to close its journal


class Phase(IntEnum):
    """How far a run has come. It never goes back."""

    RUNNING = 0
    DRAINING = 1  # workers finish the architecture that they train
    ENDING = 2  # the search has ended: workers are told to go
    RELEASING = 3  # workers give back what they train
    CLOSING = 4  # no worker is left: the controller closes its journal
    DONE = 5


class LocalRun:
    """Supervises the processes of a run. Call `step` often until `phase` is DONE."""

    def __init__(
        self, state: StateDirectory, placements: Sequence[Placement], lock: int, metrics: str | None = None
    ) -> None:
        """Starts nothing yet.

        Args:
            state: with the manifest and the certificates in it.
            placements: the workers.
            lock: descriptor of the state directory's lock, which the controller shares while it lives.
            metrics: HOST:PORT where the controller serves its metrics. None: nowhere.
        """
        self.phase = Phase.RUNNING
        self.summary: pb.Summary | None = None
        """As the controller gave it last."""
        self.answering = False
        """Whether the controller answered the last time."""
        self.failure = ""
        """Why the run failed; empty while all is well."""
        self.exit_code = 0
        self.events: list[str] = []
        """What a person should hear of, in order; the reader clears it."""
        self._state = state
        self._metrics = metrics
        self._address = ""
        self._channel: grpc.Channel | None = None
        self._next_poll = 0.0
        self._phase_began = time.monotonic()
        # As many threads in every worker as there are cores would be many times slower than one in each.
        self._threads = max(1, count_cores() // len(placements))
        self.controller = SupervisedProcess(
            "the controller", self._controller_command, state.logs / "controller.log", keep_open=[lock]
        )
        self.workers = {
            placement.worker: SupervisedProcess(
                f"worker {placement.worker}",
                partial(self._worker_command, placement),
                state.logs / f"worker-{placement.worker}.log",
            )
            for placement in placements
        }

    def start(self) -> None:
        """Starts the controller; the workers follow when it serves.

        Raises:
            OSError: the logs cannot be written.
        """
        (self._state.logs / "trials").mkdir(parents=True, exist_ok=True)
        self._state.address.unlink(missing_ok=True)
        self.controller.start()

    def step(self) -> None:
        """Looks after the processes and at the controller's summary, once. Call it often."""
        self._supervise()
        now = time.monotonic()
        if now >= self._next_poll and self._connect():
            self._next_poll = now + _POLL
            self._poll()
        self._advance()

    def made_progress(self, worker: str) -> None:
        """A trial of `worker` has finished: neither it nor the controller dies again and again."""
        self.controller.made_progress()
        if worker in self.workers:
            self.workers[worker].made_progress()

    def drain(self) -> None:
        """Workers finish what they train, then the run ends."""
        self._enter(Phase.DRAINING)

    def release(self) -> None:
        """Workers give back what they train, then the run ends."""
        self._enter(Phase.RELEASING)

    def kill(self) -> None:
        """Ends all processes now. What was acknowledged is in the journal."""
        for process in (*self.workers.values(), self.controller):
            process.kill()
        for process in (*self.workers.values(), self.controller):
            process.wait(5)
        self.phase = Phase.DONE

    def fail(self, message: str, exit_code: int = FAILED) -> None:
        """Ends the run as failed."""
        if not self.failure:
            self.failure, self.exit_code = message, exit_code
        self.release()

    # The inside. ----------------------------------------------------------------------------------------------------

    def _controller_command(self) -> list[str]:
        return [
            sys.executable, "-m", "nas_controller",
            "--manifest", str(self._state.manifest),
            "--state", str(self._state.path),
            "--certificates", str(self._state.certificates / "server"),
            # Started again, it must be found where its workers look for it.
            "--listen", self._address or "127.0.0.1:0",
            "--address-file", str(self._state.address),
            *([] if self._metrics is None else ["--metrics-listen", self._metrics]),
        ]  # fmt: skip

    def _worker_command(self, placement: Placement) -> list[str]:
        return [
            sys.executable, "-m", "nas_child",
            "--manifest", str(self._state.manifest),
            "--controller", self._address,
            "--certificates", str(worker_certificates(self._state, placement.pool)),
            "--pool", placement.pool,
            "--worker-id", placement.worker,
            "--device", placement.device,
            "--threads", str(self._threads),
            "--logs", str(self._state.logs),
        ]  # fmt: skip

    def _enter(self, phase: Phase) -> None:
        if phase <= self.phase:
            return
        self.phase = phase
        self._phase_began = time.monotonic()
        if phase is Phase.RELEASING:
            for worker in self.workers.values():
                worker.terminate()
        elif phase is Phase.CLOSING:
            self.controller.terminate()

    def _supervise(self) -> None:
        for worker in self.workers.values():
            self._watch(worker, restart=self.phase is Phase.RUNNING)
            if worker.hopeless and worker.exit_status == EX_CONFIG:
                self.fail(worker.hopeless, BAD_INPUT)
        self._watch(self.controller, restart=self.phase < Phase.CLOSING)
        if self.controller.hopeless:
            self.fail(self.controller.hopeless, BAD_INPUT if self.controller.exit_status == EX_CONFIG else FAILED)

    def _watch(self, process: SupervisedProcess, *, restart: bool) -> None:
        was_running, restarts = process.running, process.restarts
        process.supervise(restart=restart)
        if process.restarts > restarts:
            self.events.append(f"{process.name} is started again")
        elif was_running and not process.running and process.exit_status and restart:
            self.events.append(f"{process.name} died {describe_exit(process.exit_status)}")
            if process.hopeless:
                self.events.append(f"{process.name} is given up")

    def _connect(self) -> bool:
        if self._channel is None:
            try:
                self._address = self._state.address.read_text().strip()
            except FileNotFoundError:
                return False
            self._channel = grpc.secure_channel(self._address, channel_credentials(self._state.certificates / "admin"))
            if self.phase is Phase.RUNNING:
                for worker in self.workers.values():
                    worker.start()
        return self.controller.running

    def _stub(self) -> rpc.SearchServiceStub:
        assert self._channel is not None
        return rpc.SearchServiceStub(self._channel)

    def _poll(self) -> None:
        try:
            if self.summary is None:
                self._take_up()
            self.summary = self._stub().GetSummary(pb.GetSummaryRequest(), timeout=_CALL_TIMEOUT, wait_for_ready=True)
            if self.phase is Phase.DRAINING:
                self._drain_workers()
        except grpc.RpcError:
            self.answering = False
            return
        self.answering = True

    def _take_up(self) -> None:
        """A search that failed goes on: its user runs it again."""
        stub = self._stub()
        summary = stub.GetSummary(pb.GetSummaryRequest(), timeout=_CALL_TIMEOUT, wait_for_ready=True)
        if summary.state == pb.Summary.FAILED:
            request = pb.SetStateRequest(
                state=pb.Summary.RUNNING, reason="RunAgain", message="the search was run again"
            )
            stub.SetState(request, timeout=_CALL_TIMEOUT)

    def _drain_workers(self) -> None:
        assert self.summary is not None
        self._stub().DrainWorkers(pb.DrainWorkersRequest(), timeout=_CALL_TIMEOUT)
        # One that is still starting has nothing to finish.
        known = {worker.worker_id for worker in self.summary.workers if worker.alive}
        for name in self.workers.keys() - known:
            self.workers[name].terminate()

    def _advance(self) -> None:
        state = self.summary.state if self.summary else pb.Summary.RUNNING
        if self.phase is Phase.RUNNING:
            if state in (pb.Summary.SUCCEEDED, pb.Summary.FAILED):
                self._enter(Phase.ENDING)
            elif self._address and all(worker.ended for worker in self.workers.values()):
                reasons = [worker.hopeless for worker in self.workers.values() if worker.hopeless]
                if len(reasons) == len(self.workers):
                    self.fail(reasons[0])
                else:
                    self._enter(Phase.ENDING)  # they were told to go: the search is suspended, or somebody drained them
        in_phase = time.monotonic() - self._phase_began
        if Phase.DRAINING <= self.phase <= Phase.RELEASING:
            if not any(worker.running for worker in self.workers.values()):
                self._enter(Phase.CLOSING)
            elif self.phase is Phase.ENDING and in_phase > _GOODBYE:
                self._enter(Phase.RELEASING)
            elif self.phase is Phase.RELEASING and in_phase > _RELEASE:
                for worker in self.workers.values():
                    worker.kill()
        elif self.phase is Phase.CLOSING:
            if not self.controller.running:
                self.phase = Phase.DONE
            elif in_phase > _CLOSE:
                self.controller.kill()


def worker_certificates(state: StateDirectory, pool: str) -> Path:
    """Where the certificate of a pool's workers is kept."""
    return state.certificates / "worker" / pool
