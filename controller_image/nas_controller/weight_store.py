"""`WeightStore`: the files that final trainings leave, beside the journal.

What a worker sends grows in a file of its lease. When all of it is there and has the right digest, it is made durable.
A training that counts keeps it under its number; nothing else is kept.
"""

import errno
import hashlib
import os
import shutil
from pathlib import Path

_PART = ".part"
_WHOLE = ".whole"
_KEPT = ".tar"
# Bytes of the volume that are left to the journal: without it nothing goes on.
RESERVE = 64 * 2**20


def kept_file(directory: Path, training: int) -> Path:
    """Where the files of a final training are kept, as one tar archive."""
    return directory / f"{training:06d}{_KEPT}"


class WeightStore:
    """A directory with the files of final trainings. Not thread-safe but for `verify`, `discard` and `remove`."""

    def __init__(self, directory: Path) -> None:
        """`directory` is made when there is something to keep."""
        self._directory = directory
        self.problem = ""
        """Why nothing can be written now, in words for a person; empty when all is well."""

    def receive(self, token: str, offset: int, data: bytes, total: int) -> int:
        """Takes a piece of what is sent under a lease. Pieces that do not follow on what is there change nothing.

        Returns:
            How much is there. `total`: all of it, and `verify` must have its say.

        Raises:
            OSError: it cannot be written, or would leave the journal no room. `problem` says so until something can.
        """
        if self._file(token, _WHOLE).exists():
            return total
        try:
            self._directory.mkdir(exist_ok=True)
            with self._file(token, _PART).open("ab") as file:
                there = file.tell()
                if offset == there and there + len(data) <= total:
                    self._check_room(len(data))
                    file.write(data)
                    there += len(data)
        except OSError as error:
            self.problem = f"the weights of a final training cannot be written to {self._directory}: {error.strerror}"
            raise
        self.problem = ""
        return there

    def verify(self, token: str, total: int, sha256: str) -> bool:
        """Whether all is there, as it was sent; it is durable then. If not, it is forgotten.

        Raises:
            OSError: it cannot be made durable.
        """
        part, whole = self._file(token, _PART), self._file(token, _WHOLE)
        if not whole.exists():
            with part.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != total or hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    part.unlink()
                    return False
                os.fsync(file.fileno())
            part.replace(whole)
        # Also of what was whole before: the controller may have been killed before the name was durable.
        _sync_names(self._directory.parent)
        _sync_names(self._directory)
        return True

    def size(self, token: str) -> int:
        """Bytes that are there, durable, under a lease; 0: none, or not all."""
        whole = self._file(token, _WHOLE)
        return whole.stat().st_size if whole.exists() else 0

    def keep(self, token: str, training: int) -> None:
        """What came under a lease is that of a training from now on.

        It stays under the lease, too, until it is discarded: if the controller is killed before the result is durable,
        the worker brings its result again.
        """
        whole, kept = self._file(token, _WHOLE), kept_file(self._directory, training)
        kept.unlink(missing_ok=True)
        try:
            kept.hardlink_to(whole)
        except OSError:  # a file system without hard links: there a kill costs the training
            whole.replace(kept)
        _sync_names(self._directory)

    def discard(self, token: str) -> None:
        """Forgets what came under a lease."""
        for suffix in (_PART, _WHOLE):
            self._file(token, suffix).unlink(missing_ok=True)
        self.problem = ""  # it may have been this one's alone: others say so again

    def remove(self, training: int) -> None:
        """Forgets what a training has left: another one of its architecture counts."""
        kept_file(self._directory, training).unlink(missing_ok=True)

    def sweep(self, trainings: set[int], tokens: set[str]) -> None:
        """Forgets everything but what belongs to these trainings and leases."""
        wanted = {kept_file(self._directory, training) for training in trainings}
        wanted |= {self._file(token, suffix) for token in tokens for suffix in (_PART, _WHOLE)}
        if self._directory.exists():
            for file in set(self._directory.iterdir()) - wanted:
                file.unlink()

    def _check_room(self, size: int) -> None:
        if size and shutil.disk_usage(self._directory).free < size + RESERVE:
            raise OSError(errno.ENOSPC, "no space left but what the journal needs")

    def _file(self, token: str, suffix: str) -> Path:
        return self._directory / f"{hashlib.sha256(token.encode()).hexdigest()[:32]}{suffix}"


def _sync_names(directory: Path) -> None:
    """Makes the names in a directory durable: after a power cut a file without one is lost, whatever is in it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
