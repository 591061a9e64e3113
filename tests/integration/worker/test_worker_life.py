"""How a worker begins and ends: signals, deaths of its processes, an absent controller, unusable configurations."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import grpc
import pytest
from nas_api.certificates import CertificateAuthority, Identity
from nas_api.rpc import trials_pb2 as pb

from .conftest import (
    SEARCH,
    ScriptedController,
    WorkerProcess,
    eventually,
    is_alive,
    start_worker,
    write_manifest,
)

EX_CONFIG = 78
TASK = dedent(
    '''
    import os, subprocess, time

    def task(trial, report):
        """Trains for as many seconds as its seed says, and has a process of its own."""
        helper = subprocess.Popen(["sleep", "600"], start_new_session=True)
        print(trial.directory)
        report(0, score=0, pid=os.getpid(), helper=helper.pid)
        give_up = time.monotonic() + trial.seed
        step = 0
        while time.monotonic() < give_up:
            step += 1
            report(step, score=step)
            time.sleep(0.02)
    '''
)
LONG = 600
# Of calls that fail for the moment.
CODES = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN]
Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(tmp_path: Path, fresh_controller: ScriptedController, certificates: Path) -> Iterator[Start]:
    """Starts workers that are killed when the test is over."""
    started: list[WorkerProcess] = []
    (tmp_path / "the_task.py").write_text(TASK)
    (tmp_path / "broken.py").write_text("1 / 0")

    def start(*arguments: str, certificates: Path = certificates / "worker", **trainer: Any) -> WorkerProcess:
        write_manifest(tmp_path / "search.yaml", {"task": "the_task:task", **trainer})
        worker = start_worker(tmp_path, fresh_controller.address, certificates=certificates, arguments=arguments)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.wait()


def processes_of(controller: ScriptedController, worker: WorkerProcess, trial: int) -> dict[str, int]:
    """The processes that take part in a trial that trains."""
    controller.wait_until(lambda: controller.measured(trial), "the trial trains")
    metrics = controller.measured(trial)[0].metrics
    (server,) = worker.children()
    return {"fork server": server, "trial": int(metrics["pid"]), "helper": int(metrics["helper"])}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_a_worker_gives_its_architecture_back_and_exits_with_0(
    start: Start, fresh_controller: ScriptedController, number: signal.Signals
) -> None:
    trial = fresh_controller.assign(seed=LONG)
    worker = start()
    processes = processes_of(fresh_controller, worker, trial)
    worker.kill(number)
    assert worker.wait() == 0
    assert not fresh_controller.release_of(trial).lost
    assert not [name for name, pid in processes.items() if is_alive(pid)]


def test_asked_to_end_while_it_waits_a_worker_exits_with_0_and_holds_no_lease(
    start: Start, fresh_controller: ScriptedController
) -> None:
    worker = start()
    fresh_controller.wait_until(lambda: fresh_controller.waiting, "the worker waits")
    fresh_controller.hold_back_assignments = True
    trial = fresh_controller.assign()  # assigned by the next call, which is the one of a worker that ends
    worker.kill(signal.SIGTERM)
    assert worker.wait() == 0
    assert not fresh_controller.release_of(trial).lost


def test_asked_to_end_before_it_is_ready_a_worker_exits_with_0(start: Start) -> None:
    worker = start()
    eventually(worker.children, "the fork server is started")
    children = worker.children()
    worker.kill(signal.SIGTERM)
    assert worker.wait() == 0
    assert not [pid for pid in children if is_alive(pid)]


def test_asked_twice_a_worker_ends_at_once(start: Start, fresh_controller: ScriptedController) -> None:
    trial = fresh_controller.assign(seed=LONG)
    worker = start("--grace-seconds", "600")
    processes = processes_of(fresh_controller, worker, trial)
    fresh_controller.stop()  # the lease cannot be given back
    worker.kill(signal.SIGTERM)
    eventually(lambda: "SIGTERM: giving back" in worker.log, "the worker has noticed")
    worker.kill(signal.SIGTERM)
    assert worker.wait() == 128 + signal.SIGTERM
    eventually(lambda: not [name for name, pid in processes.items() if is_alive(pid)], "its processes are gone")
    fresh_controller.start()


def test_a_worker_that_cannot_give_back_ends_after_its_grace_period(
    start: Start, fresh_controller: ScriptedController
) -> None:
    trial = fresh_controller.assign(seed=LONG)
    worker = start("--grace-seconds", "1")
    processes_of(fresh_controller, worker, trial)
    fresh_controller.stop()
    worker.kill(signal.SIGTERM)
    assert worker.wait() == 0
    fresh_controller.start()


def test_a_retired_worker_exits_with_0(start: Start, fresh_controller: ScriptedController) -> None:
    fresh_controller.retire()
    worker = start()
    assert worker.wait() == 0
    assert "retired: the test is over" in worker.log


def test_when_a_worker_is_killed_everything_below_it_ends(start: Start, fresh_controller: ScriptedController) -> None:
    trial = fresh_controller.assign(seed=LONG)
    worker = start()
    processes = processes_of(fresh_controller, worker, trial)
    worker.kill(signal.SIGKILL)
    eventually(lambda: not [name for name, pid in processes.items() if is_alive(pid)], f"{processes} end")


def test_when_the_fork_server_is_killed_the_architecture_is_lost_and_another_is_started(
    start: Start, fresh_controller: ScriptedController
) -> None:
    trial = fresh_controller.assign(seed=LONG)
    worker = start()
    processes = processes_of(fresh_controller, worker, trial)
    os.kill(processes["fork server"], signal.SIGKILL)
    release = fresh_controller.release_of(trial)
    assert release.lost
    assert "fork server was killed by SIGKILL" in release.reason
    assert not [name for name, pid in processes.items() if is_alive(pid)]
    assert fresh_controller.result_of(fresh_controller.assign()).outcome == pb.SUCCEEDED


@pytest.mark.parametrize("killed", ["worker", "fork server"])
def test_the_files_of_a_trial_are_removed_whatever_is_killed(
    start: Start, fresh_controller: ScriptedController, killed: str
) -> None:
    trial = fresh_controller.assign(seed=LONG)
    worker = start()
    processes = processes_of(fresh_controller, worker, trial)
    directory = Path(worker.trial_log(trial).splitlines()[1])
    assert directory.is_dir()
    os.kill(worker.process.pid if killed == "worker" else processes["fork server"], signal.SIGKILL)
    eventually(lambda: not directory.parent.exists(), "the files are removed")


def test_when_the_fork_server_is_killed_between_trials_no_architecture_is_lost(
    start: Start, fresh_controller: ScriptedController
) -> None:
    worker = start()
    fresh_controller.result_of(fresh_controller.assign())
    (server,) = worker.children()
    os.kill(server, signal.SIGKILL)
    eventually(lambda: not is_alive(server), "it is dead")
    trial = fresh_controller.assign()
    fresh_controller.wait_until(lambda: trial in fresh_controller.completed or trial in fresh_controller.released)
    if trial in fresh_controller.released:
        assert not fresh_controller.released[trial].lost
        trial = fresh_controller.assign()
    assert fresh_controller.result_of(trial).outcome == pb.SUCCEEDED


def test_a_measurement_is_reported_soon_where_the_controller_may_stop_the_trial(
    start: Start, fresh_controller: ScriptedController
) -> None:
    fresh_controller.heartbeat_seconds, fresh_controller.report_seconds = 10_000, 0.05
    trial = fresh_controller.assign(seed=LONG)
    start()
    fresh_controller.wait_until(lambda: len(fresh_controller.measured(trial)) > 3, "reports before any heartbeat")
    fresh_controller.actions[trial] = pb.ReportReply.STOP_EARLY
    assert fresh_controller.result_of(trial).outcome == pb.STOPPED_EARLY


def test_a_controller_that_is_away_for_a_while_costs_nothing(
    start: Start, fresh_controller: ScriptedController
) -> None:
    trial = fresh_controller.assign(seed=2)
    worker = start()
    processes = processes_of(fresh_controller, worker, trial)
    fresh_controller.stop()
    eventually(lambda: not is_alive(processes["trial"]), "the trial has ended meanwhile")
    eventually(lambda: "cannot be reached" in worker.log, "the worker tells")
    fresh_controller.start()
    result = fresh_controller.result_of(trial)
    assert result.outcome == pb.SUCCEEDED
    assert [m.step for m in result.measurements] == list(range(len(result.measurements)))
    fresh_controller.wait_until(lambda: len(fresh_controller.registered) > 1, "the worker registers again")
    assert fresh_controller.result_of(fresh_controller.assign()).outcome == pb.SUCCEEDED


@pytest.mark.parametrize("method", ["Register", "Lease", "Complete"])
@pytest.mark.parametrize("code", CODES)
def test_a_call_that_fails_for_the_moment_is_repeated(
    worker_of_many_tests: ScriptedController, method: str, code: grpc.StatusCode
) -> None:
    controller = worker_of_many_tests
    controller.fail_next[method] = [code] * 2
    assert controller.result_of(controller.assign()).outcome == pb.SUCCEEDED
    if method == "Register":  # that is called again only when the connection was lost
        controller.fail_next["Lease"] = [code]
        assert controller.result_of(controller.assign()).outcome == pb.SUCCEEDED
    controller.wait_until(lambda: not controller.fail_next[method], "the call is repeated")
    assert controller.result_of(controller.assign()).outcome == pb.SUCCEEDED


@pytest.mark.parametrize("code", CODES)
def test_a_report_that_fails_for_the_moment_is_repeated(
    worker_of_many_tests: ScriptedController, code: grpc.StatusCode
) -> None:
    controller = worker_of_many_tests
    controller.fail_next["Report"] = [code] * 2
    trial = controller.assign(seed=LONG)
    controller.wait_until(lambda: controller.measured(trial), "a report is answered")
    assert not controller.fail_next["Report"]
    controller.actions[trial] = pb.ReportReply.STOP_EARLY
    assert controller.result_of(trial).outcome == pb.STOPPED_EARLY
    assert controller.result_of(controller.assign()).outcome == pb.SUCCEEDED


def test_the_same_request_is_repeated_until_it_is_answered(worker_of_many_tests: ScriptedController) -> None:
    controller = worker_of_many_tests
    controller.lose_next_lease = True
    first = controller.assign()
    second = controller.assign()
    assert controller.result_of(first).outcome == pb.SUCCEEDED
    assert controller.result_of(second).outcome == pb.SUCCEEDED
    assert controller.leased[first] != controller.leased[second]


def test_a_result_that_is_refused_is_given_back_as_lost(worker_of_many_tests: ScriptedController) -> None:
    controller = worker_of_many_tests
    controller.fail_next["Complete"] = [grpc.StatusCode.INVALID_ARGUMENT]
    assert controller.release_of(controller.assign()).lost
    assert controller.result_of(controller.assign()).outcome == pb.SUCCEEDED


@pytest.fixture(scope="module")
def worker_of_many_tests(
    controller: ScriptedController, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedController]:
    """The controller of a worker that is used by several tests."""
    directory = tmp_path_factory.mktemp("worker")
    (directory / "the_task.py").write_text(TASK)
    write_manifest(directory / "search.yaml", {"task": "the_task:task"})
    worker = start_worker(directory, controller.address, certificates=certificates / "worker")
    yield controller
    worker.kill()
    worker.wait()


def test_a_worker_that_the_controller_does_not_accept_is_misconfigured(
    start: Start, fresh_controller: ScriptedController
) -> None:
    fresh_controller.fail_next["Register"] = [grpc.StatusCode.FAILED_PRECONDITION]
    worker = start()
    assert worker.wait() == EX_CONFIG
    assert reason_of(worker) == "the controller refuses Register: as the test wants it (FAILED_PRECONDITION)"


def reason_of(worker: WorkerProcess) -> str:
    """What the last line of its standard error says, in any log format."""
    name, _, reason = worker.log.splitlines()[-1].partition(": ")
    assert name == "nas_child"
    return reason


@pytest.mark.parametrize(
    ("trainer", "arguments", "words"),
    [
        ({"task": "no_such_module:task"}, [], "no_such_module"),
        ({"task": "the_task:no_such_function"}, [], "no_such_function"),
        ({"task": "image-classification", "dataset": {"path": "/no/such/data"}}, [], "/no/such/data"),
        ({}, ["--device", "cuda:99"], "GPU"),
        ({}, ["--device", "abacus"], "abacus"),
        ({}, ["--manifest", "missing.yaml"], "missing.yaml"),
        ({"task": "broken:task"}, [], "importing 'broken' raised ZeroDivisionError: division by zero"),
        ({"epochs": 0, "dropout": 1}, [], "spec.trainer.dropout"),
        ({}, ["--pool", "other", "--log-format", "text"], "no pool 'other'; its pools are default"),
        ({}, ["--pool", "other"], "no pool 'other'; its pools are default"),
        ({}, ["--certificates", "nowhere"], "nowhere/ca.crt"),
    ],
)
def test_a_configuration_that_cannot_work_is_exit_status_78_and_one_line_that_says_why(
    start: Start, trainer: dict[str, Any], arguments: list[str], words: str
) -> None:
    worker = start(*arguments, **trainer)
    assert worker.wait() == EX_CONFIG
    assert words in reason_of(worker)


def test_a_fork_server_that_dies_again_and_again_before_it_is_ready_is_exit_status_78(
    start: Start, tmp_path: Path
) -> None:
    program = "import os, sys; print('loading\\nno more luck', file=sys.stderr); os._exit(9)"
    (tmp_path / "the_task.py").write_text(program)
    worker = start()
    assert worker.wait() == EX_CONFIG
    assert reason_of(worker) == "the fork server ended with status 9: no more luck (it was started 4 times)"


def test_a_worker_waits_for_a_controller_that_is_not_there_yet_and_says_so_once(
    start: Start, fresh_controller: ScriptedController
) -> None:
    fresh_controller.stop()
    worker = start("--log-level", "DEBUG")
    eventually(lambda: "cannot be reached" in worker.log, "the worker tells")
    wait_for_connection_attempts(worker, 8)
    fresh_controller.start()
    assert fresh_controller.result_of(fresh_controller.assign()).outcome == pb.SUCCEEDED
    assert worker.log.count("cannot be reached; trying until it can") == 1
    assert worker.log.count("answers after") == 1


def wait_for_connection_attempts(worker: WorkerProcess, count: int) -> None:
    """Waits while a worker tries to connect: its debug log has a line for each attempt."""
    eventually(lambda: worker.log.count("trying again") >= count, "the worker tries on")


def test_a_worker_waits_for_a_name_that_is_not_known_yet(start: Start) -> None:
    worker = start("--controller", "controller.invalid:50051", "--log-level", "DEBUG")
    eventually(lambda: "errors resolving controller.invalid" in worker.log, "the worker tells")
    wait_for_connection_attempts(worker, 5)
    assert worker.process.poll() is None
    assert worker.log.count("cannot be reached; trying until it can") == 1
    worker.kill(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_worker_with_the_certificate_of_another_search_tells_and_tries_on(start: Start, tmp_path: Path) -> None:
    other = CertificateAuthority.create(SEARCH, timedelta(days=1))
    other.issue(Identity(SEARCH, "pool", "default")).write(tmp_path / "foreign")
    worker = start(certificates=tmp_path / "foreign")
    eventually(lambda: "cannot be reached" in worker.log, "the worker tells")
    assert "CERTIFICATE_VERIFY_FAILED" in worker.log


def test_certificates_are_read_again(
    start: Start, tmp_path: Path, certificates: Path, fresh_controller: ScriptedController
) -> None:
    other = CertificateAuthority.create(SEARCH, timedelta(days=1))
    other.issue(Identity(SEARCH, "pool", "default")).write(tmp_path / "rotated")
    worker = start(certificates=tmp_path / "rotated")
    eventually(lambda: "cannot be reached" in worker.log, "the old ones do not fit")
    for file in (certificates / "worker").iterdir():
        (tmp_path / "rotated" / file.name).write_bytes(file.read_bytes())
    assert fresh_controller.result_of(fresh_controller.assign()).outcome == pb.SUCCEEDED


def test_the_built_in_task_tells_the_shape_of_its_data_and_trains(
    start: Start, fresh_controller: ScriptedController
) -> None:
    trial = fresh_controller.assign(seed=3)
    start(task="image-classification", epochs=2)
    result = fresh_controller.result_of(trial)
    shape = fresh_controller.registered[0].data_shape
    assert (shape.channels, shape.height, shape.width, shape.classes) == (1, 8, 8, 10)
    assert result.outcome == pb.SUCCEEDED
    assert [m.step for m in result.measurements] == [1, 2]
    assert set(result.measurements[0].metrics) == {"train_loss", "val_loss", "val_accuracy"}


def test_help_shows_the_options_and_examples() -> None:
    shown = subprocess.run([sys.executable, "-m", "nas_child", "--help"], capture_output=True, text=True, check=True)
    for words in ("--manifest FILE", "--grace-seconds", "examples:", "exit status:"):
        assert words in shown.stdout
