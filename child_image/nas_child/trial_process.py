"""The process of one trial: forked from the warm fork server, it trains one architecture and ends.

It speaks with the worker over a socket, in lines of JSON. It gets one with its assignment, and the end of the stream
when it shall stop early; it sends one for each report, one at the first step of an optimizer, and one with its
result.
"""

import io
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import parse_architecture
from nas_api.spec import LowFidelity, Trainer
from nas_api.spec.base import parse_quantity
from nas_api.spec.final_training import trainer_with
from pydantic import ValidationError
from torch.optim.optimizer import register_optimizer_step_post_hook

from nas_child.task import FailureReason, Report, StopTrial, Task, Trial, TrialFailure

_MAX_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """What all trials of a worker have in common."""

    trainer: Trainer
    low_fidelity: LowFidelity
    search: str
    device: torch.device
    threads: int


def run_trial(task: Task, settings: TrialSettings, channel: socket.socket, log: int, directory: Path) -> None:
    """Makes the forked process the trial's own, trains, and sends the result. The caller then ends the process.

    Args:
        task: prepared and warm.
        settings: what all trials of this worker have in common.
        channel: to the worker.
        log: file descriptor for what the trial writes.
        directory: an empty one, for the trial's files.
    """
    pid = os.getpid()
    _stand_alone(log)
    assignment = _receive(channel)
    try:
        architecture = parse_architecture(assignment["architecture"])
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        _send(channel, {"result": _failed(FailureReason.INVALID_ARCHITECTURE, faults), "at": time.monotonic()})
        return
    seed = assignment["seed"]
    _limit(settings)
    _tell_first_step(channel)
    trainer, fraction = settings.trainer, 1.0
    if assignment["first_training"]:
        low = settings.low_fidelity
        trainer = trainer.model_copy(update={"epochs": low.epochs or trainer.epochs})
        fraction = low.data_fraction
    final_directory = None
    if (final := assignment["final"]) is not None:
        trainer, final_directory = trainer_with(trainer, final["settings"]), Path(final["directory"])
    trial = Trial(
        architecture,
        seed,
        trainer,
        settings.device,
        directory,
        fraction,
        final_directory,
        number=assignment["trial"],
        search=settings.search,
    )
    result = _train(task, trial, make_report(channel))
    returned = time.monotonic()
    if os.getpid() != pid:
        return  # the task forked, and this copy has come back from it too
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    _send(channel, {"result": result, "at": returned})


def _train(task: Task, trial: Trial, report: Report) -> dict[str, str]:
    """Runs the task. Whatever comes of it is a result."""
    try:
        task.run(trial, report)
    except StopTrial:
        return {"outcome": "stopped"}
    except SystemExit as error:
        return _failed(FailureReason.TASK_RAISED, f"the task called sys.exit({error.code!r}): it must return instead")
    except BaseException as error:
        # The memory limit must not keep the result from being sent.
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        failure = TrialFailure.of(error)
        if failure is not error:
            traceback.print_exc()
        where = _where(error) if failure.reason is FailureReason.TASK_RAISED else ""
        return _failed(failure.reason, failure.message + where)
    return {"outcome": "succeeded"}


def _failed(reason: FailureReason, message: str) -> dict[str, str]:
    if len(message) > _MAX_MESSAGE:
        message = message[:_MAX_MESSAGE] + " ..."
    return {"outcome": "failed", "reason": reason, "message": message}


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""


def _stand_alone(log: int) -> None:
    """Separates this process from the fork server: session, signals, standard streams."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    # Its children are its own business: the fork server adopts what it leaves behind.
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the task's module may have put something else there
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # When memory runs out, the kernel shall end this process and none of those that keep the worker going.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _limit(settings: TrialSettings) -> None:
    torch.set_num_threads(settings.threads)
    limit = settings.trainer.memory_limit
    if limit is not None and settings.device.type == "cpu":
        # What the fork server has loaded is shared, and counts in the data segment all the same.
        status = Path("/proc/self/status").read_text()
        shared = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:"))
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (shared + int(parse_quantity(limit)), hard))


def _tell_first_step(channel: socket.socket) -> None:
    """Sends the time of the first step of any optimizer: until then the device was idle."""

    def hook(*_: Any) -> None:
        handle.remove()
        _send(channel, {"first_step": time.monotonic()})

    handle = register_optimizer_step_post_hook(hook)


def make_report(channel: socket.socket) -> Report:
    """The `report` of a trial's task, which sends what it is given over `channel`: whole steps and finite numbers."""
    began = time.monotonic()
    owner = os.getpid()

    def report(step: int, **metrics: float) -> None:
        if os.getpid() != owner:
            raise RuntimeError("report() was called in a process that the task has started: call it in the task's own")
        _send(channel, {"step": step, "metrics": metrics, "seconds": time.monotonic() - began})
        if _is_told_to_stop(channel):
            raise StopTrial

    return report


def _is_told_to_stop(channel: socket.socket) -> bool:
    try:
        return channel.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")


def _receive(channel: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        part = channel.recv(65536)
        if not part:
            raise EOFError("the worker has closed the channel")
        line += part
    message: dict[str, Any] = json.loads(line)
    return message
