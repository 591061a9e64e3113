"""Processes are started on record, and only those on record are ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import Processes, ProcessRecord
from tests.cluster.waiting import wait_for

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "processes", tmp_path / "log")
    yield made
    made.kill_all()


def test_a_started_process_is_on_record_and_its_output_in_its_log(processes: Processes) -> None:
    pid = processes.start("speaker", [sys.executable, "-c", "print('hello', flush=True); import time; time.sleep(600)"])
    assert processes.all()["speaker"].pid == pid
    assert processes.all()["speaker"].is_alive
    assert processes.all()["speaker"].resident_bytes > 0
    wait_for(lambda: processes.end_of_log("speaker") == "hello", "the output")
    processes.check()


def test_what_another_started_is_ended_by_its_record(processes: Processes) -> None:
    pid = processes.start("sleeper", SLEEP)
    record = ProcessRecord.of(pid)
    assert record is not None
    Processes(processes.records, processes.logs).kill_all()
    assert not record.is_alive
    assert processes.all() == {}


def test_a_process_that_got_the_id_of_one_of_ours_is_left_alone(processes: Processes) -> None:
    stranger = subprocess.Popen(SLEEP)
    record = ProcessRecord.of(stranger.pid)
    assert record is not None
    processes.records.mkdir()
    (processes.records / "ended").write_text(str(ProcessRecord(stranger.pid, record.started - 1)))
    processes.kill_all()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_process_that_ended_is_reported_with_the_end_of_its_log(processes: Processes) -> None:
    processes.start("failing", [sys.executable, "-c", "raise SystemExit('no disk')"])

    def report() -> str | None:
        try:
            processes.check()
        except RuntimeError as error:
            return str(error)
        return None

    # its record is alive until it has ended; its last words come before that
    said = wait_for(report, "the process to end")
    assert said.startswith("failing has ended.")
    assert said.endswith("no disk")


def test_with_end_with_us_processes_end_with_the_one_that_started_them(processes: Processes) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.cluster.processes import Processes; "
        f"Processes(Path({str(processes.records)!r}), Path({str(processes.logs)!r}), end_with_us=True)"
        f".start('sleeper', ['sh', '-c', 'echo asleep; exec sleep 600']); print('started', flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    record = processes.all()["sleeper"]
    wait_for(lambda: processes.end_of_log("sleeper") == "asleep", "the process to be what it will be")
    parent.kill()
    parent.wait()
    wait_for(lambda: not record.is_alive, "the process to end")


def test_a_wrapper_that_forks_is_not_taken_for_the_process(processes: Processes) -> None:
    """As `nsenter --pid` does."""
    wrapped = Processes(processes.records, processes.logs, ["sh", "-c", '"$@" & wait', "sh"])
    pid = wrapped.start("sleeper", ["sleep", "600"])
    wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the process behind the wrapper")
    wrapped.kill_all()


def test_records_survive_a_round_trip() -> None:
    record = ProcessRecord.of(os.getpid())
    assert record is not None
    assert ProcessRecord.parse(str(record)) == record


def test_there_is_no_record_of_a_process_that_is_not_there() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert ProcessRecord.of(child.pid) is None
