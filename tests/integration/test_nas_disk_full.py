"""A disk that fills up while a search runs stops it for as long as it is full, and no longer."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.nas_program import Workplace, wait_until

TRIALS = 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a small file system: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def workplace(tmp_path: Path, small_disk: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    workplace.state = small_disk / "state"
    yield workplace
    workplace.clean_up()


def fill(file: Path) -> None:
    """Writes to a file until there is no room left, not for a byte."""
    with file.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            while True:
                try:
                    stream.write(bytes(size))
                except OSError:
                    break


def test_a_search_waits_while_the_disk_is_full_and_then_goes_on(workplace: Workplace, small_disk: Path) -> None:
    directory = workplace.directory
    workplace.write_task(trials=TRIALS, hold=str(directory / "go"), says=str(directory / "trial.pid"))
    program = workplace.start(workers=2)
    wait_until(lambda: (directory / "trial.pid").exists() or program.process.poll() is not None, "a trial in training")
    wait_until(lambda: len(workplace.recovered().leases) == 2, "two trials in training")
    fill(small_disk / "filler")
    (directory / "go").touch()
    wait_until(lambda: "the disk is full" in program.output or program.process.poll() is not None, "the message")
    assert "nothing can be written" in program.output
    assert str(workplace.state / "journal.sqlite") in program.output
    assert program.process.poll() is None
    assert len(workplace.finished()) < TRIALS
    (small_disk / "filler").unlink()
    assert program.wait() == 0, program.output
    assert "the journal can be written again" in program.output
    assert "died" not in program.output
    workplace.assert_complete(TRIALS)
