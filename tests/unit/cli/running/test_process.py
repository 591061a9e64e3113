"""A supervised process is started again when it dies, with growing delays, until there is no hope."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nas_cli.running.process import SupervisedProcess


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[[str], SupervisedProcess]:
    def process(program: str) -> SupervisedProcess:
        command = [sys.executable, "-S", "-c", program]
        return SupervisedProcess("the program", lambda: command, tmp_path / "program.log", clock=clock)

    return process


def ended(process: SupervisedProcess) -> None:
    """Waits for the end of a process without supervising it."""
    assert process.pid is not None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


Make = Callable[[str], SupervisedProcess]


def test_what_it_writes_is_in_its_log(make: Make) -> None:
    process = make("import sys; print('out'); print('err', file=sys.stderr)")
    process.start()
    assert process.wait(60)
    assert process.ended
    assert process.exit_status == 0
    assert set(process.log.read_text().split()) == {"out", "err"}


def test_one_that_dies_is_started_again_after_its_delay(make: Make, clock: Clock) -> None:
    process = make("raise SystemExit(3)")
    process.start()
    ended(process)
    process.supervise()
    assert not process.running
    assert not process.ended
    clock.now = 0.4
    process.supervise()
    assert process.restarts == 0
    clock.now = 0.6
    process.supervise()
    assert process.running
    assert process.restarts == 1


def die_in_a_row(process: SupervisedProcess, clock: Clock, times: int) -> list[float]:
    """The delays before each start."""
    delays = []
    for _ in range(times):
        ended(process)
        process.supervise()
        began = clock.now
        while not process.running and not process.hopeless:
            clock.now += 0.25
            process.supervise()
        delays.append(clock.now - began)
    return delays


def test_delays_grow_and_hope_ends(make: Make, clock: Clock) -> None:
    process = make("print('no such luck'); raise SystemExit(3)")
    process.start()
    assert die_in_a_row(process, clock, 5) == [0.5, 1.0, 2.0, 4.0, 8.0]
    die_in_a_row(process, clock, 1)
    assert process.ended
    assert "the program died 6 times in a row, the last time with exit status 3" in process.hopeless
    assert str(process.log) in process.hopeless
    assert process.hopeless.endswith("no such luck")


def test_progress_makes_earlier_failures_forgotten(make: Make, clock: Clock) -> None:
    process = make("raise SystemExit(3)")
    process.start()
    for _ in range(4):
        die_in_a_row(process, clock, 4)
        process.made_progress()
    assert not process.hopeless
    process.kill()
    process.wait(60)


@pytest.mark.parametrize("prefix", ["nas_child: ", "nas_controller: ", ""])
def test_an_unusable_configuration_is_final_and_told_by_the_last_line(make: Make, prefix: str) -> None:
    process = make(f"print('loading'); print('{prefix}/data: no such file'); raise SystemExit(78)")
    process.start()
    ended(process)
    process.supervise()
    assert process.ended
    assert process.restarts == 0
    assert process.hopeless == "the program cannot work with this configuration: /data: no such file"


def test_one_that_is_killed_is_started_again(make: Make, clock: Clock) -> None:
    process = make("import time; time.sleep(600)")
    process.start()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    die_in_a_row(process, clock, 1)
    assert process.running
    assert process.exit_status == -signal.SIGKILL
    process.kill()
    assert process.wait(60)


def test_terminate_asks_once_and_starts_nothing_again(make: Make) -> None:
    # A second SIGTERM would tell a worker not to give its architecture back.
    process = make(
        "import signal, time\n"
        "asked = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))\n"
        "print('ready', flush=True)\n"
        "while not asked: time.sleep(0.01)\n"
        "time.sleep(0.2)\n"
        "print('asked', len(asked))\n"
    )
    process.start()
    while "ready" not in process.log.read_text():
        assert process.running
    process.terminate()
    process.terminate()
    assert process.wait(60)
    process.supervise()
    assert process.ended
    assert process.log.read_text().split() == ["ready", "asked", "1"]


def test_it_is_asked_to_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('ended', flush=True), sys.exit()))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = (
        "import sys, time; from pathlib import Path; from nas_cli.running.process import SupervisedProcess\n"
        f"process = SupervisedProcess('child', lambda: [sys.executable, '-S', '-c', {child!r}], Path({str(log)!r}))\n"
        "process.start()\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while "ready" not in log.read_text():
        assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()
    while "ended" not in log.read_text():
        pass


@pytest.mark.parametrize("log", ["missing/program.log"])
def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path, log: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        SupervisedProcess("the program", lambda: [sys.executable], tmp_path / log).start()
