"""A run that is interrupted or whose processes are killed loses nothing, and goes on."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.nas_program import Program, Workplace, descendants, is_alive, wait_until


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()


def start_and_hold(workplace: Workplace, *, trials: int = 6) -> tuple[Program, int]:
    """A run whose first trial is in training until `workplace.directory / "go"` exists, and that trial's process."""
    directory = workplace.directory
    workplace.write_task(trials=trials, hold=str(directory / "go"), says=str(directory / "trial.pid"))
    return hold(workplace, workplace.start())


def hold(workplace: Workplace, program: Program) -> tuple[Program, int]:
    pid = workplace.directory / "trial.pid"
    wait_until(lambda: (pid.exists() and pid.read_text()) or program.process.poll() is not None, "a trial in training")
    assert pid.exists(), program.output
    trial = int(pid.read_text())
    pid.unlink()
    return program, trial


def says_or_ended(program: Program, word: str) -> bool:
    return word in program.output or program.process.poll() is not None


def let_go(workplace: Workplace) -> None:
    (workplace.directory / "go").touch()


def test_after_ctrl_c_it_goes_on_where_it_stopped(workplace: Workplace) -> None:
    workplace.write_manifest(trials=100_000)
    program = workplace.start(workers=2)
    workplace.wait_for_trials(3, program)
    program.interrupt()
    assert program.wait() == 130
    assert "tiny was stopped before its end" in program.output
    assert "go on with the search" in program.output
    assert workplace.recovered().leases == ()
    more = workplace.recovered().last_trial + 10
    again = workplace.run("--workers", 2, "--set", f"spec.budget.maxTrials={more}")
    assert again.returncode == 0, again.stdout + again.stderr
    workplace.assert_complete(more)


def test_ctrl_c_lets_what_is_in_training_finish(workplace: Workplace) -> None:
    program, _ = start_and_hold(workplace)
    program.interrupt()
    wait_until(lambda: all(worker.draining for worker in workplace.summary().workers), "the worker is drained")
    let_go(workplace)
    assert program.wait() == 130
    assert "workers finish what they train" in program.output
    assert [record.sampled.trial for record in workplace.finished()] == [1]


def test_ctrl_c_twice_gives_back_what_is_in_training(workplace: Workplace) -> None:
    program, trial = start_and_hold(workplace)
    program.interrupt()
    wait_until(lambda: "workers finish what they train" in program.output, "the run says that it drains")
    program.interrupt()
    assert program.wait() == 130
    assert not is_alive(trial)
    assert workplace.finished() == []
    let_go(workplace)
    assert workplace.run().returncode == 0
    workplace.assert_complete(6)
    assert workplace.recovered().leases_expired == 0


def test_ctrl_c_three_times_ends_everything_at_once(workplace: Workplace) -> None:
    program, _ = start_and_hold(workplace)
    family = descendants(program.process.pid)
    for word in ("workers finish what they train", "workers give back what they train"):
        program.interrupt()
        wait_until(partial(says_or_ended, program, word), word)
    program.interrupt()
    assert program.wait() == 130
    wait_until(lambda: not any(map(is_alive, family)), "the end of all processes")


def test_sigterm_gives_back_what_is_in_training(workplace: Workplace) -> None:
    program, trial = start_and_hold(workplace)
    program.process.terminate()
    assert program.wait() == 128 + signal.SIGTERM
    assert not is_alive(trial)
    assert workplace.recovered().leases == ()


def test_a_controller_that_is_killed_is_started_again(workplace: Workplace) -> None:
    workplace.write_manifest(trials=40)
    program = workplace.start(workers=2)
    workplace.wait_for_trials(3, program)
    os.kill(program.child("nas_controller"), signal.SIGKILL)
    assert program.wait() == 0, program.output
    assert "the controller died by signal SIGKILL" in program.output
    assert "the controller is started again" in program.output
    workplace.assert_complete(40)
    assert workplace.recovered().epoch == 2


def test_a_controller_that_is_killed_while_nobody_has_a_result_loses_no_lease(workplace: Workplace) -> None:
    program, trial = start_and_hold(workplace)
    os.kill(program.child("nas_controller"), signal.SIGKILL)
    wait_until(lambda: workplace.recovered().epoch == 2, "a second controller")
    let_go(workplace)
    assert program.wait() == 0, program.output
    workplace.assert_complete(6)
    (first, *_) = workplace.finished()
    assert (first.sampled.trial, first.attempts) == (1, 1)
    assert not is_alive(trial)


def test_the_architecture_of_a_worker_that_is_killed_is_trained_again(workplace: Workplace) -> None:
    program, trial = start_and_hold(workplace)
    os.kill(program.child("nas_child"), signal.SIGKILL)
    program, _ = hold(workplace, program)  # the same architecture, in a new worker
    wait_until(lambda: not is_alive(trial), "the end of the trial of the worker that was killed")
    let_go(workplace)
    assert program.wait() == 0, program.output
    assert "worker default-0 is started again" in program.output
    workplace.assert_complete(6)
    assert {r.sampled.trial: r.attempts for r in workplace.finished()}[1] == 2


def test_the_architecture_of_a_trial_process_that_is_killed_is_trained_again(workplace: Workplace) -> None:
    program, trial = start_and_hold(workplace)
    os.kill(trial, signal.SIGKILL)
    program, second = hold(workplace, program)
    assert second != trial
    let_go(workplace)
    assert program.wait() == 0, program.output
    assert "died" not in program.output  # the worker lives on
    workplace.assert_complete(6)
    assert {r.sampled.trial: r.attempts for r in workplace.finished()}[1] == 2


def test_nothing_lingers_when_nas_run_itself_is_killed_and_it_can_be_run_again(workplace: Workplace) -> None:
    program, trial = start_and_hold(workplace)
    family = descendants(program.process.pid)
    assert trial in family
    program.process.kill()
    program.wait()
    let_go(workplace)
    again = workplace.run()  # at once: it waits for the old controller to close the journal
    assert again.returncode == 0, again.stdout + again.stderr
    wait_until(lambda: not any(map(is_alive, family)), "the end of the processes of the run that was killed")
    workplace.assert_complete(6)
