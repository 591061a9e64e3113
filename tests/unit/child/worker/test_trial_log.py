"""What is kept of what a trial writes."""

import asyncio
import gc
import logging
import os
from pathlib import Path

import pytest
from nas_child.trial_log import HEAD_BYTES, TAIL_BYTES, TrialLog, log_path


def write_through(path: Path, data: bytes) -> bytes:
    """Writes `data` as a trial would. Returns the log without its header."""

    async def write() -> None:
        log = TrialLog(path, "header")
        with os.fdopen(os.dup(log.write_end), "wb", buffering=0) as end:
            log.close_write_end()
            await asyncio.to_thread(lambda: [end.write(data[i : i + 60_000]) for i in range(0, len(data), 60_000)])
        await log.finish()

    asyncio.run(write())
    header, _, body = path.read_bytes().partition(b"\n")
    assert header == b"header"
    return body


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + TAIL_BYTES])
def test_output_up_to_one_mebibyte_is_kept_whole(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    assert write_through(tmp_path / "log", data) == data


@pytest.mark.parametrize("more", [1, 4096, 5_000_000])
def test_of_more_the_beginning_and_the_end_are_kept_and_the_gap_is_told(tmp_path: Path, more: int) -> None:
    data = os.urandom(HEAD_BYTES + TAIL_BYTES + more)
    gap = f"\n[{more:,} bytes left out]\n".encode()
    assert write_through(tmp_path / "log", data) == data[:HEAD_BYTES] + gap + data[-TAIL_BYTES:]


def test_another_attempt_is_appended(tmp_path: Path) -> None:
    write_through(tmp_path / "log", b"first\n")
    assert write_through(tmp_path / "log", b"second\n") == b"first\nheader\nsecond\n"


@pytest.mark.parametrize("path", ["/dev/full", "/proc/no/such/place"])
def test_a_log_that_cannot_be_written_is_one_warning_and_the_trial_goes_on(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def write() -> None:
        log = TrialLog(Path(path), "header")
        with os.fdopen(os.dup(log.write_end), "wb", buffering=0) as end:
            log.close_write_end()
            await asyncio.to_thread(lambda: [end.write(b"x" * 60_000) for _ in range(100)])
        await log.finish()

    with caplog.at_level(logging.WARNING):
        asyncio.run(write())
    assert [record.getMessage().startswith(f"cannot write {path}: ") for record in caplog.records] == [True]


def test_a_process_that_keeps_the_log_open_does_not_keep_the_worker_waiting(tmp_path: Path) -> None:
    async def write() -> None:
        log = TrialLog(tmp_path / "log", "header")
        os.write(log.write_end, b"so far")
        await log.finish(patience=0.05)
        log.close_write_end()

    asyncio.run(write())
    assert (tmp_path / "log").read_bytes() == b"header\nso far"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    gc.collect()  # what other tests have left open is not closed meanwhile
    before = len(list(Path("/proc/self/fd").iterdir()))
    write_through(tmp_path / "log", b"x")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_files_sort_by_the_number_of_the_trial() -> None:
    assert log_path(Path("logs"), 12) == Path("logs/trials/000012.log")
