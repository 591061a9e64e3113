"""`TrialRun`: one architecture in training, from the assignment to what comes of it."""

import asyncio
import json
import logging
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearchSpec
from nas_api.spec.base import parse_duration

from nas_child.controller_client import MAX_MESSAGE_BYTES, CallRefusedError, ControllerClient
from nas_child.fork_server_client import ForkServerClient, ForkServerDiedError, TrialChannel, TrialEnded
from nas_child.oom_killer import oom_kills
from nas_child.process_tree import signal_name
from nas_child.series import Point, Series
from nas_child.task import FailureReason
from nas_child.trial_log import TrialLog, log_path
from nas_child.upload import Upload

logger = logging.getLogger(__name__)

# Seconds that a task has, after it is told to stop early, to call `report` once more.
_STOP_GRACE = 10.0
# Of a message, for what comes with the measurements.
_OTHER_BYTES = 64 * 1024


class Order(StrEnum):
    """What a trial in training is told to do."""

    STOP_EARLY = "stop early"
    RELEASE = "release"
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True)
class Completed:
    """The trial has a result."""

    outcome: pb.Outcome.ValueType
    reason: str = ""
    message: str = ""
    weights_bytes: int = 0
    """That a final training has left, and that were uploaded."""


@dataclass(frozen=True, slots=True)
class Released:
    """The trial has none, and its architecture shall go out again."""

    reason: str
    lost: bool
    """Whether its process died: that counts as an attempt."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The trial is nobody's business any more."""


End = Completed | Released | Abandoned


class TrialRun:
    """One architecture in training."""

    def __init__(
        self,
        assignment: pb.Assignment,
        *,
        worker_id: str,
        spec: NASSearchSpec,
        server: ForkServerClient,
        client: ControllerClient,
        heartbeat_seconds: float,
        report_seconds: float,
        logs: Path | None,
    ) -> None:
        """Prepares the run.

        Args:
            assignment: what to train.
            worker_id: of this worker.
            spec: of the search.
            server: forks the trial's process.
            client: gets the heartbeats.
            heartbeat_seconds: between two of them.
            report_seconds: how soon after a measurement of the reward's metric the next one comes. 0: when it is due.
            logs: directory of logs. None: what the trial writes goes to standard error.
        """
        self.assignment = assignment
        self.series = Series(spec.reward)
        self.began_at = time.monotonic()
        """When its process was asked for, on the monotonic clock of the machine."""
        self.seconds = 0.0
        """How long it trained."""
        self.first_step_at: float | None = None
        """Time of the first step of an optimizer, on the same clock."""
        self.returned_at: float | None = None
        """When its task returned."""
        self.order: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        """Set it to have the trial do something."""
        self._worker_id = worker_id
        self._server = server
        self._client = client
        self._heartbeat_seconds = heartbeat_seconds
        self._report_seconds = report_seconds
        self._metric = spec.reward.metric
        self._measured = asyncio.Event()
        self._logs = logs
        self._final = assignment.final_training if assignment.HasField("final_training") else None
        self._final_directory: Path | None = None
        self.name = f"trial {assignment.trial_id}"
        """In messages."""
        if self._final is not None:
            self.name = f"final training {self._final.training}, of trial {assignment.trial_id},"
            self._timeout: float | None = self._final.timeout_seconds or None
            self._timeout_text = "spec.finalTraining.timeout"
        else:
            self._timeout = parse_duration(spec.trainer.timeout).total_seconds() if spec.trainer.timeout else None
            self._timeout_text = f"spec.trainer.timeout ({spec.trainer.timeout})"
        self._cleaned_up: asyncio.Task[None] | None = None

    async def run(self) -> End:
        """Trains. Returns as soon as the result is known; `clean_up` then waits until the process is gone."""
        trial = self.assignment.trial_id
        log = self._open_log()
        self.began_at = time.monotonic()
        kills_before = oom_kills()
        try:
            channel = await self._server.start_trial(trial, log.write_end)
        except ForkServerDiedError as error:
            log.close_write_end()
            self._cleaned_up = asyncio.create_task(self._clean_up(None, log))
            return Released(str(error), lost=False)
        log.close_write_end()
        heartbeats = asyncio.create_task(self._send_heartbeats())
        try:
            if self._final is not None:
                self._final_directory = Path(tempfile.mkdtemp(prefix="final-", dir=self._server.scratch))
            channel.assign(self.assignment, self._final_directory)
            end = await self._supervise(channel, kills_before)
            if isinstance(end, Completed) and end.outcome == pb.SUCCEEDED and self._final is not None:
                return await self._upload(end, self._final)
            return end
        finally:
            self.seconds = (self.returned_at or time.monotonic()) - self.began_at
            heartbeats.cancel()
            self._cleaned_up = asyncio.create_task(self._clean_up(channel, log))

    async def clean_up(self) -> None:
        """Waits until nothing of the trial is left."""
        if self._cleaned_up is not None:
            await self._cleaned_up

    async def _supervise(self, channel: TrialChannel, kills_before: int) -> End:
        end = asyncio.create_task(self._watch(channel, kills_before))
        try:
            first: set[asyncio.Future[Any]] = {end, self.order}
            await asyncio.wait(first, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return end.result()
            if not self.order.done():
                return self._timed_out()
            match self.order.result():
                case Order.STOP_EARLY:
                    channel.stop_early()
                    await asyncio.wait([end], timeout=_STOP_GRACE)
                    ended_late = Completed(pb.STOPPED_EARLY, message="it did not report in time, and was killed")
                    return end.result() if end.done() else ended_late
                case Order.RELEASE:
                    return Released("asked to give it back", lost=False)
                case Order.ABANDON:
                    return Abandoned()
        finally:
            end.cancel()

    def measurements(self) -> list[pb.Measurement]:
        """All that was measured, thinned if need be so that a message has room for it."""
        for limit in (None, 5_000, 2_000, 1_000, 1):
            found = [measurement(point) for point in self.series.whole(limit)]
            if pb.CompleteRequest(measurements=found).ByteSize() < MAX_MESSAGE_BYTES - _OTHER_BYTES:
                break
        return found

    async def _upload(self, end: Completed, final: pb.FinalTraining) -> End:
        """Sends what a final training has left. The heartbeats go on."""
        assert self._final_directory is not None
        upload = Upload(self._client, self.assignment.lease, self._worker_id)
        task = asyncio.create_task(upload.send(self._final_directory, final.max_weights_bytes, self.measurements()))
        try:
            waited: set[asyncio.Future[Any]] = {task, self.order}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                release = self.order.result() is Order.RELEASE
                return Released("asked to give it back", lost=False) if release else Abandoned()
            sent = task.result()
        except (CallRefusedError, OSError) as error:
            logger.warning("%s: %s; its weights are not kept", self.name, error)
            return replace(end, message=f"its weights are not kept: {error}")
        finally:
            task.cancel()
        if sent is None:
            return Abandoned()
        return replace(end, message=sent.problem, weights_bytes=sent.size)

    async def _watch(self, channel: TrialChannel, kills_before: int) -> End:
        """What becomes of a trial that is left alone."""
        result = asyncio.create_task(self._read(channel))
        try:
            first: set[asyncio.Future[Any]] = {result, channel.ended}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            # What has been sent is there by now. But a process that cannot be killed may hold the socket open.
            await asyncio.wait([result], timeout=1)
            if result.done() and (sent := result.result()) is not None:
                return _completed(sent)
            # A task may have closed the socket: it has until its timeout still.
            await asyncio.wait([channel.ended])
            return _ended_without_result(channel.ended, kills_before)
        finally:
            result.cancel()

    def _timed_out(self) -> Completed:
        last = self.series.last
        progress = f"its last report was of step {last.step}" if last else "it had not reported anything"
        return Completed(
            pb.FAILED,
            FailureReason.TIMED_OUT,
            f"the trial took longer than {self._timeout_text}; {progress}",
        )

    async def _read(self, channel: TrialChannel) -> dict[str, Any] | None:
        """Takes the reports of the trial's process. Returns its result, or None if it ends without."""
        while True:
            try:
                line = await channel.reader.readline()
            except (ConnectionError, ValueError):
                return None
            if not line.endswith(b"\n"):
                return None
            message = json.loads(line)
            if "metrics" in message:
                self.series.add(Point(message["step"], message["metrics"], message["seconds"]))
                if self._report_seconds and self._metric in message["metrics"]:
                    self._measured.set()
            elif "first_step" in message:
                self.first_step_at = message["first_step"]
            else:
                self.returned_at = message["at"]
                result: dict[str, Any] = message["result"]
                return result

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._report_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_seconds - self._report_seconds):
                    await self._measured.wait()
            self._measured.clear()
            request = pb.ReportRequest(
                lease=self.assignment.lease,
                worker_id=self._worker_id,
                measurements=[measurement(point) for point in self.series.take_unsent()],
            )
            try:
                reply = await self._client.call("Report", request, pb.ReportReply, self._heartbeat_seconds + 5)
            except CallRefusedError as error:
                logger.warning("trial %d: %s; training goes on", self.assignment.trial_id, error)
                continue
            order = {
                pb.ReportReply.STOP_EARLY: Order.STOP_EARLY,
                pb.ReportReply.RELEASE: Order.RELEASE,
                pb.ReportReply.ABANDON: Order.ABANDON,
            }.get(reply.action)
            if order is not None and not self.order.done():
                logger.info("trial %d: the controller says: %s", self.assignment.trial_id, order)
                self.order.set_result(order)

    async def _clean_up(self, channel: TrialChannel | None, log: TrialLog) -> None:
        if channel is not None:
            await self._server.kill_trial(channel)
            if channel.ended.exception() is None and (left := channel.ended.result().left):
                logger.info("trial %d: killed %d processes that it left", self.assignment.trial_id, left)
            channel.close()
        if self._final_directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._final_directory, ignore_errors=True)
        await log.finish()

    def _open_log(self) -> TrialLog:
        assignment = self.assignment
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return TrialLog(
            log_path(self._logs, assignment.trial_id, assignment.final_training.training) if self._logs else None,
            f"--- {self.name.rstrip(',')}, attempt {assignment.attempt}, worker {self._worker_id}, {now} ---",
        )


def measurement(point: Point) -> pb.Measurement:
    """A point as it goes over the wire."""
    return pb.Measurement(step=point.step, metrics=point.metrics, seconds=point.seconds)


def _completed(result: dict[str, Any]) -> Completed:
    outcome = {"succeeded": pb.SUCCEEDED, "stopped": pb.STOPPED_EARLY, "failed": pb.FAILED}[result["outcome"]]
    return Completed(outcome, result.get("reason", ""), result.get("message", ""))


def _ended_without_result(ended: "asyncio.Future[TrialEnded]", kills_before: int) -> End:
    try:
        status = ended.result().status
    except ForkServerDiedError as error:
        return Released(str(error), lost=True)
    if status >= 0:
        return Completed(
            pb.FAILED,
            FailureReason.TASK_RAISED,
            f"the process ended with status {status} before the task returned: a task must not call os._exit",
        )
    if status == -signal.SIGKILL and oom_kills() > kills_before:
        return Completed(
            pb.FAILED,
            FailureReason.OUT_OF_MEMORY,
            "the kernel killed the trial's process because memory ran out: give workers more, or constrain the size",
        )
    return Released(f"the trial's process was killed by {signal_name(-status)}", lost=True)
