"""A disk that takes no more stalls the journal, which says so and goes on by itself; one that is damaged ends it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from nas_controller.journal.journal import JournalError, StorageError
from nas_controller.journal.sqlite import SqliteJournal

from .study import Study, fill, random_writes

LIMITED = Path(__file__).with_name("limited_process.py")


def wait_for(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)


def read_back(path: Path, seed: int, writes: int, **blobs: int) -> None:
    study = Study(**blobs)
    for _ in islice(random_writes(study, seed), writes):
        pass
    with SqliteJournal(path, "default/digits") as journal:
        study.check(journal)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no permission to mount a small file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_file_that_may_not_grow_stalls_the_journal_until_it_may(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    output = subprocess.run([sys.executable, LIMITED, path], check=True, capture_output=True, text=True).stdout
    seen = json.loads(output)

    assert seen["problem"].startswith(f"cannot write to the journal {path}: the disk ")
    assert seen["problem"].endswith("nothing is lost, and writing goes on by itself.")
    assert seen["waiting"] >= 200
    assert seen["durable"] == seen["written"] - seen["waiting"]
    assert seen["problem_after"] == ""
    read_back(path, seed=5, writes=seen["written"])


def test_a_full_disk_stalls_the_journal_until_there_is_room(small_disk: Path) -> None:
    path, ballast = small_disk / "journal.sqlite", small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    with SqliteJournal(path, "default/digits") as journal:
        writes = random_writes(Study(snapshot_bytes=4_000), seed=3)
        futures = []
        while not journal.problem():
            futures.append(journal.write(*next(writes)))
            wait_for(lambda: futures[-1].done() or journal.problem())
        assert "the disk is full (SQLITE_FULL, 0.0 MB are free). Free some space: nothing is lost" in journal.problem()
        futures += [journal.write(*next(writes)) for _ in range(20)]
        assert int(journal.recover().facts["write"]) == len(futures) - 21

        ballast.unlink()
        futures[-1].result()
        assert journal.problem() == ""
    read_back(path, seed=3, writes=len(futures), snapshot_bytes=4_000)


def test_closing_while_the_disk_is_full_fails_what_could_not_be_written_and_keeps_the_rest(small_disk: Path) -> None:
    path, ballast = small_disk / "journal.sqlite", small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    journal = SqliteJournal(path, "default/digits")
    writes = random_writes(Study(snapshot_bytes=4_000), seed=4)
    futures = []
    while not journal.problem():
        futures.append(journal.write(*next(writes)))
        wait_for(lambda: futures[-1].done() or journal.problem())

    with pytest.raises(StorageError, match=r"closed before everything was written: .* the disk is full"):
        journal.close()
    with pytest.raises(JournalError, match="the disk is full"):
        futures[-1].result()
    ballast.unlink()
    read_back(path, seed=4, writes=len(futures) - 1, snapshot_bytes=4_000)


def test_a_full_disk_is_told_when_a_journal_is_opened(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2 * 2**20 - 8192))

    with pytest.raises(StorageError, match=r"cannot open the journal .* full .*disk has room"):
        SqliteJournal(small_disk / "journal.sqlite", "default/digits")


def test_damage_to_the_file_fails_the_write_that_finds_it_and_all_later_ones(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with SqliteJournal(path, "default/digits") as journal:
        fill(journal, 500)
    journal = SqliteJournal(path, "default/digits")
    with path.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 40 * 4096))

    with pytest.raises(JournalError, match=r"is damaged: .* restore the file from a backup"):
        fill(journal, 500, start=501)
    with pytest.raises(JournalError, match="is damaged"):
        journal.write().result()
    assert "is damaged" in journal.problem()
    with pytest.raises(JournalError, match="cannot read the journal"):
        journal.trials(measurements=True)
    with pytest.raises(JournalError, match="is damaged"):
        journal.close()
