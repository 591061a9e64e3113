"""One `nas run` at a time works on a state directory."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nas_cli.failure import Failure
from nas_cli.state_directory import StateDirectory


def hold(directory: Path, *, then: str) -> "subprocess.Popen[str]":
    """Another process that has taken the lock when this returns."""
    program = (
        "import subprocess, sys, time; from pathlib import Path; from nas_cli.state_directory import StateDirectory\n"
        f"with StateDirectory(Path({str(directory)!r})).locked() as lock:\n"
        f"    {then}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_the_lock_names_its_holder_to_the_second_who_wants_it(tmp_path: Path) -> None:
    holder = hold(tmp_path, then="print('locked', flush=True); sys.stdin.read()")
    try:
        with pytest.raises(Failure, match=f"process {holder.pid}"), StateDirectory(tmp_path).locked():
            pass
    finally:
        holder.communicate("")
    with StateDirectory(tmp_path).locked():
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    holder = hold(tmp_path, then="print('locked', flush=True); sys.stdin.read()")
    holder.kill()
    holder.wait()
    with StateDirectory(tmp_path).locked():
        pass


def test_a_child_that_outlives_the_killed_holder_is_waited_for(tmp_path: Path) -> None:
    # As the controller does in the second that it takes to close its journal.
    holder = hold(
        tmp_path,
        then="subprocess.Popen(['sleep', '1'], pass_fds=[lock]); print('locked', flush=True); sys.stdin.read()",
    )
    holder.kill()
    holder.wait()
    began = time.monotonic()
    with StateDirectory(tmp_path).locked():
        assert time.monotonic() > began


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(Failure, match="is a file where the state directory should be"),
        StateDirectory(tmp_path / "file").locked(),
    ):
        pass
