"""`TrialLog`: what one trial writes to its standard output and error, its beginning and its end."""

import asyncio
import fcntl
import logging
import os
from collections import deque
from pathlib import Path

logger = logging.getLogger(__name__)

HEAD_BYTES = 512 * 1024
TAIL_BYTES = 512 * 1024
_CHUNK = 1024 * 1024
_STANDARD_ERROR = 2


class TrialLog:
    """Takes all that a trial writes, as fast as it comes, and keeps the first and the last 512 KiB of it.

    A trial that writes without end thus neither fills the disk, nor waits for anybody to read. The beginning is in the
    file at once, the end when the trial has ended.
    """

    def __init__(self, path: Path | None, header: str) -> None:
        """Begins to read, in the running event loop.

        Args:
            path: the file that it is appended to. None: standard error.
            header: first line.
        """
        self._path = path
        self._file = self._open()
        self._head = HEAD_BYTES
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        try:
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, _CHUNK)
        except OSError:
            logger.debug("pipes of %d bytes are not allowed here: smaller ones will do", _CHUNK)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._read_end, self._read)
        self._write(f"{header}\n".encode())

    def close_write_end(self) -> None:
        """Lets go of the end that the trial's process has inherited by now."""
        os.close(self.write_end)

    async def finish(self, patience: float = 2.0) -> None:
        """Reads what is left and writes the end of the log. To be called when the trial's processes are gone.

        Args:
            patience: seconds to wait for a process that cannot be killed and may write still.
        """
        try:
            async with asyncio.timeout(patience):
                await self._ended.wait()
        except TimeoutError:
            self._stop_reading()
        if self._left_out:
            self._write(f"\n[{self._left_out:,} bytes left out]\n".encode())
        self._write(b"".join(self._tail))
        if self._path is not None and self._file is not None:
            os.close(self._file)

    def _read(self) -> None:
        try:
            chunk = os.read(self._read_end, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._stop_reading()
            return
        if self._head:
            self._write(chunk[: self._head])
            chunk, self._head = chunk[self._head :], max(0, self._head - len(chunk))
        if chunk:
            self._tail.append(chunk)
            self._tail_bytes += len(chunk)
            while (excess := self._tail_bytes - TAIL_BYTES) > 0:
                first = self._tail.popleft()
                if len(first) > excess:
                    self._tail.appendleft(first[excess:])
                dropped = min(excess, len(first))
                self._tail_bytes -= dropped
                self._left_out += dropped

    def _stop_reading(self) -> None:
        if not self._ended.is_set():
            asyncio.get_running_loop().remove_reader(self._read_end)
            os.close(self._read_end)
            self._ended.set()

    # The log is worth less than the trial: where it cannot be written, the trial goes on without.

    def _open(self) -> int | None:
        if self._path is None:
            return _STANDARD_ERROR
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._complain(error)
            return None

    def _write(self, data: bytes) -> None:
        try:
            while data and self._file is not None:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._complain(error)
            if self._path is not None and self._file is not None:
                os.close(self._file)
            self._file = None

    def _complain(self, error: OSError) -> None:
        logger.warning("cannot write %s: %s; what the trial writes is lost", self._path, error.strerror)


def log_path(directory: Path, trial: int, training: int = 0) -> Path:
    """Where the log of a trial is kept, or of a final training."""
    return directory / "final" / f"{training:06}.log" if training else directory / "trials" / f"{trial:06}.log"
