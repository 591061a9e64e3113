"""The fork server: loads PyTorch, the task and its data once, then forks one process for each trial.

`python -m nas_child.fork_server`, started by a worker. It knows nothing of gRPC, which does not survive a fork, and
does nothing but fork, kill and reap. It speaks with the worker over a Unix socket (SOCK_SEQPACKET), one JSON object a
packet:

    to the worker    {"ready": {...}} or {"unusable": "why"} once; {"ended": trial, "status": ..., "left": ...}
    from the worker  {"start": trial} with two file descriptors: the trial's channel and its log; {"kill": trial}

When the socket closes, or the worker ends, it kills every process below it and ends.
"""

import argparse
import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nas_api.manifest import ManifestError, load_manifest

from nas_child import device as devices
from nas_child import process_tree
from nas_child.task import Task, TaskError
from nas_child.tasks import load_task

if TYPE_CHECKING:
    from nas_child.trial_process import TrialSettings

_MAX_PACKET = 65536
_MAX_MESSAGE = 8192


def main() -> int:
    """Prepares, then serves until the worker is gone. Returns the exit status."""
    arguments = _parse(sys.argv[1:])
    process_tree.die_with_parent(signal.SIGKILL, arguments.parent)
    connection = socket.socket(fileno=arguments.socket)
    try:
        device = devices.choose(arguments.device, os.environ)
        server = _prepare(connection, arguments, device)
    except (ManifestError, TaskError, devices.DeviceError) as error:
        _send(connection, {"unusable": str(error)[:_MAX_MESSAGE]})
        return os.EX_CONFIG
    # From here on there can be trials, which must not outlive this process: it needs the time to kill them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    process_tree.die_with_parent(signal.SIGTERM, arguments.parent)
    try:
        try:
            server.serve(arguments.scratch)
        finally:
            # The worker's end is told by the socket and by the signal: one must not cut the other short.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    finally:
        process_tree.kill_descendants()
        shutil.rmtree(arguments.scratch, ignore_errors=True)
        gc.unfreeze()  # what is frozen is not taken apart on exit, and triton would tell of leaks
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nas_child.fork_server", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--socket", type=int, required=True, help="file descriptor of the socket to the worker")
    parser.add_argument(
        "--scratch", type=Path, required=True, help="directory for the trials' files, removed at the end"
    )
    parser.add_argument("--parent", type=int, required=True, help="process id of the worker")
    return parser.parse_args(argv)


def _prepare(connection: socket.socket, arguments: argparse.Namespace, device_name: str) -> "ForkServer":
    """Does everything that trials would otherwise have to do again each."""
    search = load_manifest(arguments.manifest)
    spec = search.spec

    import torch  # when the device is chosen, not before

    from nas_child.trial_process import TrialSettings

    torch.set_num_threads(1)
    device = torch.device(device_name)
    description = devices.describe(device)
    task = load_task(spec.trainer)
    task.prepare(spec.trainer, spec.seed, arguments.cache)
    if device.type == "cpu":
        task.warm_up()
    else:
        _warm_up_without_backward()
    gc.collect()
    # What is there now is never collected, so the pages that it lies in stay shared.
    gc.freeze()
    shape = task.data_shape
    _send(connection, {"ready": {"device": description, "data_shape": list(shape) if shape else None}})
    return ForkServer(
        connection,
        task,
        TrialSettings(spec.trainer, spec.controller.low_fidelity, search.full_name, device, arguments.threads),
    )


def _warm_up_without_backward() -> None:
    """Loads the code of optimizers, the slowest part of a first step.

    Where there is a GPU, the first backward pass starts a thread for it, even if it runs on the CPU, and after that no
    forked process can do one (`torch/csrc/autograd/engine.cpp`, track_bad_autograd_forks).
    """
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], lr=0.1, momentum=0.9, nesterov=True).step()


class ForkServer:
    """Forks, kills and reaps trials, one at a time."""

    def __init__(self, connection: socket.socket, task: Task, settings: "TrialSettings") -> None:
        """`task` is prepared and warm; `settings` are what all trials have in common."""
        self._connection = connection
        self._task = task
        self._settings = settings
        self._trial = 0
        self._pid = 0  # of the trial's process; 0: none
        self._directory = ""  # of the trial's files

    def serve(self, scratch: Path) -> None:
        """Does what the worker asks for until it closes the connection. `scratch`: for the trials' directories."""
        process_tree.adopt_orphans()
        child_ended, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(child_ended, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if child_ended in ready:
                os.read(child_ended, 4096)
                self._reap()
            if self._connection.fileno() in ready:
                packet, descriptors, _, _ = socket.recv_fds(self._connection, _MAX_PACKET, 2, socket.MSG_CMSG_CLOEXEC)
                if not packet:
                    return
                message = json.loads(packet)
                if "start" in message:
                    channel, log = descriptors
                    self._start(message["start"], channel, log, scratch)
                elif message.get("kill") == self._trial and self._pid:
                    os.kill(self._pid, signal.SIGKILL)

    def _start(self, trial: int, channel: int, log: int, scratch: Path) -> None:
        self._directory = tempfile.mkdtemp(prefix=f"{trial:06}-", dir=scratch)
        server = os.getpid()
        self._trial, self._pid = trial, os.fork()
        if self._pid == 0:
            self._become_trial(server, channel, log)
        os.close(channel)
        os.close(log)

    def _become_trial(self, server: int, channel: int, log: int) -> NoReturn:
        """In the forked process: never returns into the server's code."""
        from nas_child.trial_process import run_trial

        status = 70
        try:
            process_tree.die_with_parent(signal.SIGKILL, server)
            self._connection.close()
            run_trial(self._task, self._settings, socket.socket(fileno=channel), log, Path(self._directory))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            # Without clean-up: exit handlers and threads are the fork server's, or the task's own.
            os._exit(status)

    def _reap(self) -> None:
        """Ends the trial whose process has ended: with everything that it has left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._pid = 0
                left = process_tree.kill_descendants()
                shutil.rmtree(self._directory, ignore_errors=True)
                ended = {"ended": self._trial, "status": os.waitstatus_to_exitcode(status), "left": left}
                _send(self._connection, ended)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.send(json.dumps(message).encode())


if __name__ == "__main__":
    sys.exit(main())
