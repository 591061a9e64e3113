"""`Upload`: sends what a final training has left to the controller, piece by piece."""

import asyncio
import hashlib
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas_api.rpc import trials_pb2 as pb

from nas_child.controller_client import ControllerClient

_PIECE_BYTES = 2**20
# Seconds that one piece may take.
_DEADLINE = 60.0
# Times that the whole is sent when it does not arrive as it was.
_MOST_STARTS = 3


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of an upload."""

    size: int = 0
    problem: str = ""
    """Why nothing was sent that should have been; empty when all is well."""


class Upload:
    """An upload under one lease."""

    def __init__(self, client: ControllerClient, lease: str, worker_id: str) -> None:
        """Sends nothing before `send`."""
        self._client = client
        self._lease = lease
        self._worker_id = worker_id

    async def send(self, directory: Path, largest: int, measurements: Sequence[pb.Measurement]) -> Sent | None:
        """Sends the files in `directory`, if there are any and they are needed, as one tar archive.

        None: the controller wants no more of this lease.

        Args:
            directory: what the training has left.
            largest: most bytes of the archive.
            measurements: of the training. By them the controller knows whether a better one is kept already.

        Raises:
            CallRefusedError: the controller does not take it.
            OSError: a file cannot be read.
        """
        if not any(directory.iterdir()):
            return Sent()
        size = sum(file.lstat().st_size for file in directory.rglob("*"))
        archive = directory.with_suffix(".tar")
        try:
            if size <= largest:
                await asyncio.to_thread(_pack, directory, archive)
                size = archive.stat().st_size
            if size > largest:
                return Sent(
                    problem=f"its weights are not kept: they are of {size:,} bytes, and "
                    f"spec.finalTraining.maxWeightsSize is {largest:,}"
                )
            return await self._send(archive, size, measurements)
        finally:
            archive.unlink(missing_ok=True)

    async def _send(self, archive: Path, size: int, measurements: Sequence[pb.Measurement]) -> Sent | None:
        starts = 0
        with archive.open("rb") as file:
            digest = (await asyncio.to_thread(hashlib.file_digest, file, "sha256")).hexdigest()
            request = pb.UploadRequest(
                lease=self._lease,
                worker_id=self._worker_id,
                total_bytes=size,
                sha256=digest,
                measurements=measurements,
            )
            while True:
                reply = await self._client.call("Upload", request, pb.UploadReply, _DEADLINE)
                if reply.abandon:
                    return None
                if reply.unneeded:
                    return Sent()
                if reply.received == size:
                    return Sent(size)
                starts += reply.received == 0
                if starts > _MOST_STARTS:
                    return Sent(problem="its weights are not kept: they did not arrive as they were sent")
                file.seek(reply.received)
                request = pb.UploadRequest(
                    lease=self._lease,
                    worker_id=self._worker_id,
                    offset=reply.received,
                    data=file.read(_PIECE_BYTES),
                    total_bytes=size,
                    sha256=digest,
                )


def _pack(directory: Path, archive: Path) -> None:
    with tarfile.open(archive, "w") as tar:
        for file in sorted(directory.iterdir()):
            tar.add(file, arcname=file.name)
