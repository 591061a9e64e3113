"""`ForkServerClient`: the fork server as its worker sees it."""

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_api.rpc import trials_pb2 as pb

from nas_child import process_tree
from nas_child.task import DataShape

logger = logging.getLogger(__name__)

_MAX_PACKET = 65536
_MAX_LINE = 1024 * 1024
# Seconds until a fork server that was asked to kill a trial, or to end, is itself killed.
_PATIENCE = 15.0


class UnusableError(Exception):
    """No trial can ever run here: the manifest, the task, the data or the device cannot be used."""


class ForkServerDiedError(Exception):
    """The fork server has ended, and the trial that it ran with it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a fork server has found out by the time it can fork trials."""

    device: str
    data_shape: DataShape | None


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """How the process of a trial has ended."""

    status: int
    """Exit status; negative: the signal that killed it."""
    left: int
    """Processes that it had started and left behind, killed since."""


class TrialChannel:
    """The running process of a trial."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`reader` and `writer`: of the socket to the process."""
        self.reader = reader
        self._writer = writer
        self.ended: asyncio.Future[TrialEnded] = asyncio.get_running_loop().create_future()
        """When the process and all that it left behind are gone. ForkServerDiedError: the fork server is, too."""

    def assign(self, assignment: pb.Assignment, final_directory: Path | None) -> None:
        """Gives the process what it waits for. `final_directory`: where a final training leaves its files."""
        final = None
        if final_directory is not None:
            settings = json.loads(assignment.final_training.settings)
            final = {"settings": settings, "directory": str(final_directory)}
        message = {
            "trial": assignment.trial_id,
            "architecture": assignment.architecture,
            "seed": assignment.seed,
            "first_training": assignment.first_training,
            "final": final,
        }
        self._writer.write(json.dumps(message).encode() + b"\n")

    def stop_early(self) -> None:
        """Has the next `report` of the task raise `StopTrial`."""
        self._writer.write_eof()

    def close(self) -> None:
        """Closes the socket."""
        self._writer.close()


class ForkServerClient:
    """Starts a fork server and gives it orders."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """`arguments`: of the command line of `nas_child.fork_server`, without those that each start has anew."""
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._ready: asyncio.Future[Ready] | None = None
        self._is_ready = False
        self._output: asyncio.Task[None] | None = None
        self._last_line = ""
        self._buried = asyncio.Event()
        self._scratch = ""
        self._trial = 0
        self._channel: TrialChannel | None = None

    @property
    def is_running(self) -> bool:
        """Whether it can start trials."""
        return self._connection is not None and self._is_ready

    @property
    def scratch(self) -> Path:
        """A directory that is removed when the fork server ends."""
        return Path(self._scratch)

    @property
    def pid(self) -> int | None:
        """Process id of the fork server, if there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> Ready:
        """Starts a fork server and waits until it has loaded everything.

        Raises:
            UnusableError: it cannot run any trial; the message says why.
            ForkServerDiedError: it ended before it was ready; the message has its last line.
        """
        loop = asyncio.get_running_loop()
        # Orphans of a fork server that was killed come here, where they are killed.
        process_tree.adopt_orphans()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threads = self._arguments[self._arguments.index("--threads") + 1]
        self._scratch = tempfile.mkdtemp(prefix="kubenas-")
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "nas_child.fork_server", *self._arguments),
                    *("--socket", str(theirs.fileno()), "--parent", str(os.getpid()), "--scratch", self._scratch),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                # Libraries start their threads when they are loaded, and no thread survives a fork.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            )
        ours.setblocking(False)
        self._connection = ours
        self._ready, self._is_ready = loop.create_future(), False
        self._last_line = ""
        self._buried.clear()
        self._channel = None
        self._output = loop.create_task(self._relay_output(self._process))
        loop.add_reader(ours, self._receive)
        return await self._ready

    async def start_trial(self, trial: int, log: int) -> TrialChannel:
        """Forks a process for a trial.

        Args:
            trial: its number.
            log: file descriptor for what it writes. Remains the caller's.

        Raises:
            ForkServerDiedError: there is no fork server.
        """
        if self._connection is None:
            raise ForkServerDiedError("the fork server has ended")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reader, writer = await asyncio.open_connection(sock=ours, limit=_MAX_LINE)
        channel = TrialChannel(reader, writer)
        with theirs:
            try:
                socket.send_fds(self._connection, [json.dumps({"start": trial}).encode()], [theirs.fileno(), log])
            except OSError as error:
                channel.close()
                raise ForkServerDiedError("the fork server has ended") from error
        self._trial, self._channel = trial, channel
        return channel

    async def kill_trial(self, channel: TrialChannel) -> None:
        """Kills the process of a trial and everything below it, and waits until they are gone."""
        if self._connection is not None and not channel.ended.done():
            with suppress(OSError):  # it has just ended: then `ended` will tell
                self._connection.send(json.dumps({"kill": self._trial}).encode())
        await asyncio.wait([channel.ended], timeout=_PATIENCE)
        if not channel.ended.done():
            logger.warning("the fork server does not answer: killing it")
            self.kill()
            await asyncio.wait([channel.ended])

    def kill(self) -> None:
        """Kills the fork server, and with it its trial, at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ends the fork server and everything below it."""
        if self._process is None:
            return
        if self._connection is not None and self._is_ready:
            self._connection.shutdown(socket.SHUT_WR)
        elif self._connection is not None:
            self.kill()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._buried.wait()
        except TimeoutError:
            self.kill()
            await self._buried.wait()

    def _receive(self) -> None:
        assert self._connection is not None
        assert self._ready is not None
        try:
            packet = self._connection.recv(_MAX_PACKET)
        except BlockingIOError:
            return
        except ConnectionError:
            packet = b""
        if not packet:
            asyncio.get_running_loop().remove_reader(self._connection)
            self._connection.close()
            self._connection = None
            self._burial = asyncio.get_running_loop().create_task(self._bury())
            return
        message: dict[str, Any] = json.loads(packet)
        if "ended" in message:
            assert self._channel is not None
            self._channel.ended.set_result(TrialEnded(message["status"], message["left"]))
        elif self._ready.cancelled():
            pass
        elif "unusable" in message:
            self._ready.set_exception(UnusableError(message["unusable"]))
        else:
            self._is_ready = True
            shape = message["ready"]["data_shape"]
            self._ready.set_result(Ready(message["ready"]["device"], DataShape(*shape) if shape else None))

    async def _bury(self) -> None:
        """Sees to it that nothing is left of a fork server that has ended, and tells who waits for it."""
        process = self._process
        assert process is not None
        try:
            status = await asyncio.to_thread(process.wait, _PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            status = await asyncio.to_thread(process.wait)
        await asyncio.to_thread(process_tree.kill_descendants)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        if self._output is not None:
            await self._output
        how = f"was killed by {process_tree.signal_name(-status)}" if status < 0 else f"ended with status {status}"
        words = f": {self._last_line}" if self._last_line else ""
        for waiting in (self._ready, self._channel.ended if self._channel else None):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ForkServerDiedError(f"the fork server {how}{words}"))
                waiting.exception()  # perhaps nobody waits: no warning, then
        self._process = None
        self._buried.set()

    async def _relay_output(self, process: subprocess.Popen[bytes]) -> None:
        """Logs what the fork server writes: warnings of libraries, and the traceback that ends it."""
        assert process.stdout is not None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_MAX_LINE)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
        try:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # a line beyond the limit: its end comes as the next one
                    continue
                if not line:
                    return
                text = line.decode(errors="replace").rstrip()
                self._last_line = text or self._last_line
                logger.info("fork server: %s", text)
        finally:
            transport.close()
