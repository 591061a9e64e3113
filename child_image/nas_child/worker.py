"""`Worker`: leases architecture after architecture, trains each in a process of its own, and tells what came of it."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nas_api.leases import lease_id
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch

from nas_child.controller_client import CallRefusedError, ControllerClient
from nas_child.fork_server_client import ForkServerClient, ForkServerDiedError, Ready, UnusableError
from nas_child.trial_run import Completed, End, Order, Released, TrialRun

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds that the controller may hold a call for an architecture, and that any call may take beyond that.
_LEASE_WAIT = 20.0
_DEADLINE = 10.0
# A fork server that ends so often in a row before it is ready will never be.
_MAX_STARTS = 4
_MAX_RESTART_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Who a worker is and where it writes."""

    worker_id: str
    pool: str
    grace_seconds: float
    """From the request to end to the end."""
    logs: Path | None
    """Directory of logs. None: what trials write goes to standard error."""


class _StoppedError(Exception):
    """The worker was asked to end."""


class Worker:
    """Trains architectures until it is retired or stopped."""

    def __init__(
        self, settings: WorkerSettings, search: NASSearch, server: ForkServerClient, client: ControllerClient
    ) -> None:
        """Nothing is started before `run`."""
        self._settings = settings
        self._search = search
        self._server = server
        self._client = client
        self._stopped = asyncio.Event()
        self._ends_at = 0.0
        self._ready: Ready | None = None
        self._heartbeat_seconds = 0.0
        self._report_seconds = 0.0
        self._run: TrialRun | None = None
        self._deaths = 0  # of the fork server, since a trial last had a result
        self.ended: Callable[[TrialRun, End], None] = lambda *_: None
        """Told of each trial that has ended, when the controller has been told. What it raises is logged."""

    def stop(self) -> None:
        """Asks the worker to end within its grace period: a trial in training is given back."""
        self._ends_at = time.monotonic() + self._settings.grace_seconds
        self._stopped.set()
        if self._run is not None and not self._run.order.done():
            self._run.order.set_result(Order.RELEASE)

    async def run(self) -> None:
        """Works until it is retired or stopped.

        Raises:
            UnusableError: no trial can ever run here, or the controller does not accept this worker.
        """
        try:
            while await self._work():
                pass
        except _StoppedError:
            logger.info("asked to end")
        finally:
            if self._run is not None:
                await self._run.clean_up()
            await self._server.stop()
            await self._client.close()

    async def _work(self) -> bool:
        """Trains one architecture. Whether there may be more."""
        if not self._server.is_running:
            await self._start_server()
            await self._register()
        assignment = await self._lease()
        if assignment is None:
            return False
        await self._train(assignment)
        return True

    async def _start_server(self) -> None:
        for start in range(1, _MAX_STARTS + 1):
            if self._deaths:
                delay = min(_MAX_RESTART_DELAY, 0.5 * 2**self._deaths)
                await self._unless_stopped(asyncio.sleep(random.uniform(delay / 2, delay)))  # noqa: S311
            began = time.monotonic()
            try:
                self._ready = await self._unless_stopped(self._server.start())
            except ForkServerDiedError as error:
                self._deaths += 1
                if start == _MAX_STARTS:
                    raise UnusableError(f"{error} (it was started {start} times)") from error
                logger.warning("%s; starting another", error)
            else:
                logger.info("ready on %s after %.1f s", self._ready.device, time.monotonic() - began)
                return

    async def _register(self) -> None:
        assert self._ready is not None
        shape = self._ready.data_shape
        request = pb.RegisterRequest(
            worker_id=self._settings.worker_id,
            pool=self._settings.pool,
            device=self._ready.device,
            data_shape=pb.DataShape(**shape._asdict()) if shape else None,
        )
        self._client.reconnected = False
        try:
            reply = await self._unless_stopped(self._client.call("Register", request, pb.RegisterReply, _DEADLINE))
        except CallRefusedError as error:
            raise UnusableError(str(error)) from error
        self._heartbeat_seconds = reply.heartbeat_seconds
        self._report_seconds = reply.report_seconds
        logger.info(
            "registered as %s of pool %s (epoch %d)", self._settings.worker_id, self._settings.pool, reply.epoch
        )

    async def _lease(self) -> pb.Assignment | None:
        """The next architecture to train, however long that takes. None: the worker is retired."""
        request = pb.LeaseRequest(
            request_id=uuid.uuid4().hex, worker_id=self._settings.worker_id, wait_seconds=_LEASE_WAIT
        )
        refusals = 0
        while True:
            if self._client.reconnected:
                await self._register()
            asked_at = time.monotonic()
            try:
                reply = await self._unless_stopped(
                    self._client.call("Lease", request, pb.LeaseReply, _LEASE_WAIT + _DEADLINE)
                )
            except _StoppedError:
                await self._give_back_unseen(request)
                raise
            except CallRefusedError as error:
                refusals += 1
                if refusals > 1:
                    raise UnusableError(str(error)) from error
                await self._register()  # a new controller need not know this worker
                continue
            refusals = 0
            match reply.WhichOneof("reply"):
                case "assignment":
                    return reply.assignment
                case "retire":
                    logger.info("retired: %s", reply.retire.reason)
                    return None
            # The controller holds the call as long as it may. Should it not, this keeps us from asking in a loop.
            pause = random.uniform(0.5, 1.0) - (time.monotonic() - asked_at)  # noqa: S311
            await self._unless_stopped(asyncio.sleep(pause))

    async def _give_back_unseen(self, request: pb.LeaseRequest) -> None:
        """Gives back the architecture that the controller may have assigned while the call for it was given up."""
        request.wait_seconds = 0
        with suppress(CallRefusedError):
            reply = await self._client.call("Lease", request, pb.LeaseReply, 2, retry=False)
            if reply.WhichOneof("reply") == "assignment":
                release = self._release_request(reply.assignment, Released("the worker ends", lost=False))
                await self._client.call("Release", release, pb.ReleaseReply, 2, retry=False)

    async def _train(self, assignment: pb.Assignment) -> None:
        previous = self._run
        if previous is not None:
            await previous.clean_up()
        run = self._run = TrialRun(
            assignment,
            worker_id=self._settings.worker_id,
            spec=self._search.spec,
            server=self._server,
            client=self._client,
            heartbeat_seconds=self._heartbeat_seconds,
            report_seconds=self._report_seconds,
            logs=self._settings.logs,
        )
        if self._stopped.is_set():
            run.order.set_result(Order.RELEASE)
        end = await run.run()
        self._log(run, end, previous)
        if isinstance(end, Completed):
            self._deaths = 0
        elif isinstance(end, Released) and not self._server.is_running:
            self._deaths += 1
        try:
            await self._within_grace(self._tell(run, end))
        finally:
            try:
                self.ended(run, end)
            except Exception:
                logger.exception("trial %d: who observes trials failed", run.assignment.trial_id)

    async def _tell(self, run: TrialRun, end: End) -> None:
        """Tells the controller what came of a trial."""
        trial = run.assignment.trial_id
        try:
            if isinstance(end, Completed):
                request = self._complete_request(run, end)
                reply = await self._client.call("Complete", request, pb.CompleteReply, _DEADLINE)
                if reply.status != pb.CompleteReply.ACCEPTED:
                    logger.info("trial %d: its result is %s", trial, pb.CompleteReply.Status.Name(reply.status))
                return
        except CallRefusedError as error:
            logger.error("trial %d: %s; giving it back", trial, error)  # noqa: TRY400 - the traceback would be gRPC's
            end = Released("its result was refused", lost=True)
        if isinstance(end, Released):
            request_release = self._release_request(run.assignment, end)
            try:
                await self._client.call("Release", request_release, pb.ReleaseReply, _DEADLINE)
            except CallRefusedError as error:
                logger.warning("trial %d: %s; its lease will expire", trial, error)

    def _complete_request(self, run: TrialRun, end: Completed) -> pb.CompleteRequest:
        return pb.CompleteRequest(
            lease=run.assignment.lease,
            worker_id=self._settings.worker_id,
            outcome=end.outcome,
            reason=end.reason,
            message=end.message,
            weights_bytes=end.weights_bytes,
            measurements=run.measurements(),
            train_seconds=run.seconds,
            device_seconds=run.seconds,
        )

    def _release_request(self, assignment: pb.Assignment, end: Released) -> pb.ReleaseRequest:
        return pb.ReleaseRequest(
            lease=assignment.lease, worker_id=self._settings.worker_id, reason=end.reason, lost=end.lost
        )

    def _log(self, run: TrialRun, end: End, previous: TrialRun | None) -> None:
        fields: dict[str, Any] = {
            "trial": run.assignment.trial_id,
            "lease": lease_id(run.assignment.lease),
            "worker": self._settings.worker_id,
            "seconds": round(run.seconds, 3),
        }
        if run.assignment.HasField("final_training"):
            fields["final_training"] = run.assignment.final_training.training
        if run.first_step_at is not None and previous is not None and previous.returned_at is not None:
            fields["turnaround_ms"] = round((run.first_step_at - previous.returned_at) * 1000, 1)
        level = logging.INFO
        if isinstance(end, Completed):
            fields["outcome"] = pb.Outcome.Name(end.outcome).lower()
            outcome = fields["outcome"].replace("_", " ")
            words = f": {end.reason}: {end.message}" if end.reason else ""
        elif isinstance(end, Released):
            outcome, words = "lost" if end.lost else "given back", f": {end.reason}"
            level = logging.WARNING if end.lost else logging.INFO
        else:
            outcome, words = "abandoned", ""
        last = run.series.last
        if last is not None and not words:
            words = f": step {last.step}, " + ", ".join(f"{name} {value:.4g}" for name, value in last.metrics.items())
        logger.log(level, "%s %s after %.1f s%s", run.name, outcome, run.seconds, words, extra=fields)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T], grace: bool = False) -> T:
        """The result of `work`, cancelled when the worker is stopped, or with `grace` when its grace period ends."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if grace and not task.done():
                await asyncio.wait([task], timeout=max(0.0, self._ends_at - time.monotonic()))
            if not task.done():
                raise _StoppedError
            return task.result()
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def _within_grace(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._unless_stopped(work, grace=True)
