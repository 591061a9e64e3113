"""A worker as process 1 of a container: it ends when it is asked to, gives its lease back, and leaves no zombie."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.integration.process_1 import Process1, children_of

from .conftest import ScriptedController, write_manifest

TASK = dedent(
    """
    import time

    def task(trial, report):
        for step in range(100_000):
            report(step, score=step)
            time.sleep(0.02)
    """
)


@pytest.fixture
def process(tmp_path: Path, fresh_controller: ScriptedController, certificates: Path) -> Iterator[Process1]:
    (tmp_path / "the_task.py").write_text(TASK)
    write_manifest(tmp_path / "search.yaml", {"task": "the_task:task"})
    command = [
        *(sys.executable, "-m", "nas_child", "--manifest", "search.yaml", "--controller", fresh_controller.address),
        *("--certificates", str(certificates / "worker"), "--pool", "default", "--device", "cpu", "--cache", "cache"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    started = Process1(command, tmp_path / "log", cwd=tmp_path, env=environment)
    yield started
    started.kill()


def test_asked_to_end_during_its_imports_it_ends(process: Process1) -> None:
    process.wait_until_it_handles(signal.SIGTERM)
    assert process.end() == 0


def test_asked_to_end_while_the_fork_server_starts_it_ends(process: Process1) -> None:
    process.eventually(lambda: children_of(process.pid), "the fork server is started")
    assert process.end() == 0


def test_asked_to_end_while_it_trains_it_gives_its_lease_back_and_ends(
    process: Process1, fresh_controller: ScriptedController
) -> None:
    trial = fresh_controller.assign()
    fresh_controller.wait_until(lambda: fresh_controller.measured(trial), "the trial trains")
    assert process.end() == 0
    assert not fresh_controller.release_of(trial).lost


def test_it_reaps_what_a_shell_has_left_and_still_notices_how_the_fork_server_ends(
    process: Process1, fresh_controller: ScriptedController
) -> None:
    fresh_controller.wait_until(lambda: fresh_controller.waiting, "the worker waits")
    (server,) = children_of(process.pid)
    process.leave_an_orphan()
    process.eventually(lambda: children_of(process.pid) == [server], "the orphan is reaped")
    trial = fresh_controller.assign()
    fresh_controller.wait_until(lambda: fresh_controller.measured(trial), "the trial trains")
    os.kill(server, signal.SIGKILL)
    assert "the fork server was killed by SIGKILL" in fresh_controller.release_of(trial).reason
