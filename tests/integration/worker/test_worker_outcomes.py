"""What a user's task can do, and what the worker makes of it: the right outcome, and the next trial runs fine."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from nas_api.rpc import trials_pb2 as pb

from .conftest import ScriptedController, WorkerProcess, eventually, is_alive, start_worker, write_manifest

TASK = dedent(
    """
    import os, random, signal, sys, time, types
    import numpy, torch
    from pathlib import Path

    def trains(trial, report):
        network = torch.nn.Linear(4, 1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for epoch in range(3):
            network(torch.ones(8, 4)).square().mean().backward()
            optimizer.step()
            report(epoch, score=1 - 0.1 * epoch, loss=torch.tensor(0.5))

    def tells_what_it_has(trial, report):
        (trial.directory / "scratch").write_text("x")
        report(0, score=1, random=random.random(), numpy=numpy.random.rand(), torch=torch.rand(()),
               pid=os.getpid(), sid=os.getsid(0), threads=torch.get_num_threads(), visible=torch.cuda.is_available(),
               stdin=os.fstat(0).st_rdev, epochs=trial.epochs, parameter=trial.parameters["parameter"],
               files=len(list(trial.directory.iterdir())))
        print(trial.directory)

    def raises(trial, report):
        report(0, score=0.5)
        print("about to raise")
        raise ValueError("the loss went the wrong way")

    def exits(trial, report):
        sys.exit(3)

    def ends_its_process(trial, report):
        report(0, score=0.5)
        os._exit(0)

    def hangs(trial, report):
        report(7, score=0.5)
        while True:
            time.sleep(60)

    def is_not_a_number(trial, report):
        report(0, score=0.5)
        report(1, score=float("nan"))

    def is_infinite(trial, report):
        try:
            report(0, score=float("inf"))
        except Exception:
            raise

    def reports_words(trial, report):
        report(0, score="high")

    def reports_nothing(trial, report):
        pass

    def other_metric_only(trial, report):
        report(0, accuracy=0.5)

    def forks(trial, report):
        if os.fork() == 0:
            return  # the copy comes back from the task, too
        report(0, score=0.5)

    def leaves_daemons(trial, report):
        pids = []
        for _ in range(3):
            read_end, write_end = os.pipe()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.write(write_end, b"%d\\n" % os.getpid())
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    while True:
                        time.sleep(60)
                os._exit(0)
            pids.append(int(os.read(read_end, 100)))
        report(0, score=0.5, **{f"pid{i}": pid for i, pid in enumerate(pids)})

    def child_reports(trial, report):
        if os.fork() == 0:
            try:
                report(0, score=99)
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        report(0, score=0.5)

    def writes_100_megabytes(trial, report):
        print("the beginning")
        line = "x" * 999
        for _ in range(100_000):
            print(line)
        print("the end")
        report(0, score=0.5)

    def wants_memory(trial, report):
        kept = []
        for i in range(1000):
            kept.append(torch.ones(25_000_000))  # 100 MB

    def wants_python_memory(trial, report):
        kept = []
        while True:
            kept.append(bytearray(10_000_000))

    def is_killed(trial, report):
        os.kill(os.getpid(), signal.SIGKILL)

    def crashes(trial, report):
        import ctypes
        ctypes.string_at(0)

    def reports_often(trial, report):
        for step in range(50_000):
            report(step, loss=1.0)
            if step % 10 == 0:
                report(step, score=step / 50_000)

    def never_stops(trial, report):
        for step in range(1_000_000):
            report(step, score=step)
            time.sleep(0.02)

    def closes_everything(trial, report):
        os.closerange(0, 1000)
        report(1, score=1)

    def closes_everything_and_hangs(trial, report):
        os.closerange(0, 1000)
        time.sleep(600)

    def never_reports_again(trial, report):
        report(1, score=1)
        time.sleep(600)

    BEHAVIOURS = [value for value in list(vars().values()) if isinstance(value, types.FunctionType)]

    def task(trial, report):
        BEHAVIOURS[trial.seed](trial, report)
    """
)
BEHAVIOURS = [line.split("(")[0][4:] for line in TASK.splitlines() if line.startswith("def ")][:-1]
TIMEOUT = 15  # longer than the grace of a trial that is told to stop early


class Trials:
    """Runs trials in one worker."""

    def __init__(self, controller: ScriptedController, worker: WorkerProcess) -> None:
        self.controller = controller
        self.worker = worker

    def begin(self, behaviour: str) -> int:
        return self.controller.assign(seed=BEHAVIOURS.index(behaviour))

    def run(self, behaviour: str) -> pb.CompleteRequest:
        trial = self.begin(behaviour)
        result = self.controller.result_of(trial)
        self.number = trial
        return result

    @property
    def log(self) -> str:
        """What the last trial wrote. It is complete when the next one begins."""
        number = self.number
        self.run("trains")
        return self.worker.trial_log(number)


@pytest.fixture(scope="module")
def worker(
    controller: ScriptedController, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    directory = tmp_path_factory.mktemp("worker")
    (directory / "the_task.py").write_text(TASK)
    trainer = {
        "task": "the_task:task",
        "timeout": f"{TIMEOUT}s",
        "memoryLimit": "700M",
        "epochs": 3,
        "parameters": {"parameter": 42},
    }
    write_manifest(directory / "search.yaml", trainer)
    running = start_worker(directory, controller.address, certificates=certificates / "worker")
    yield running
    controller.retire()
    try:
        assert running.wait() == 0, running.log
    finally:
        running.kill()


@pytest.fixture
def trials(controller: ScriptedController, worker: WorkerProcess) -> Iterator[Trials]:
    """After each test the same worker must train on."""
    server = worker.children()
    running = Trials(controller, worker)
    yield running
    result = running.run("trains")
    assert result.outcome == pb.SUCCEEDED, result
    assert not server or worker.children() == server, "the fork server did not survive"


def test_a_worker_registers_with_its_pool_and_device(trials: Trials) -> None:
    trials.run("trains")
    request = trials.controller.registered[0]
    assert (request.worker_id, request.pool, request.device) == ("w0", "default", "cpu")
    assert not request.HasField("data_shape")  # a user's own task


def test_a_trial_that_trains_brings_all_that_it_reported(trials: Trials) -> None:
    result = trials.run("trains")
    assert result.outcome == pb.SUCCEEDED
    assert [(m.step, m.metrics["score"], m.metrics["loss"]) for m in result.measurements] == [
        (0, 1.0, 0.5),
        (1, 0.9, 0.5),
        (2, 0.8, 0.5),
    ]
    seconds = [m.seconds for m in result.measurements]
    assert seconds == sorted(seconds)
    assert 0 < result.train_seconds == result.device_seconds


def test_a_trial_has_its_own_session_seeded_generators_and_no_standard_input(trials: Trials) -> None:
    first, second = ({**trials.run("tells_what_it_has").measurements[0].metrics} for _ in range(2))
    assert first["sid"] == first["pid"] != second["pid"]
    for name in ("random", "numpy", "torch"):
        assert first[name] == second[name]
    assert first["threads"] == 1
    assert first["visible"] == 0
    assert first["stdin"] == Path("/dev/null").stat().st_rdev
    assert (first["epochs"], first["parameter"]) == (3, 42)


def test_a_trials_directory_is_empty_at_first_and_gone_after(trials: Trials) -> None:
    assert trials.run("tells_what_it_has").measurements[0].metrics["files"] == 1
    directory = Path(trials.log.splitlines()[1])
    assert directory.is_absolute()
    assert not directory.exists()


def test_a_task_that_raises_is_a_failed_trial_that_says_where(trials: Trials) -> None:
    result = trials.run("raises")
    assert (result.outcome, result.reason) == (pb.FAILED, "TaskRaised")
    assert "ValueError: the loss went the wrong way" in result.message
    assert "the_task.py" in result.message
    assert "in raises" in result.message
    assert len(result.measurements) == 1
    log = trials.log
    assert "about to raise" in log
    assert "Traceback (most recent call last)" in log


def test_a_task_that_calls_sys_exit_has_failed(trials: Trials) -> None:
    result = trials.run("exits")
    assert (result.outcome, result.reason) == (pb.FAILED, "TaskRaised")
    assert "sys.exit(3)" in result.message


def test_a_task_that_ends_its_process_has_failed(trials: Trials) -> None:
    result = trials.run("ends_its_process")
    assert (result.outcome, result.reason) == (pb.FAILED, "TaskRaised")
    assert "os._exit" in result.message
    assert len(result.measurements) == 1


def test_a_task_that_hangs_is_ended_after_its_timeout(trials: Trials) -> None:
    result = trials.run("hangs")
    assert (result.outcome, result.reason) == (pb.FAILED, "TimedOut")
    assert f"{TIMEOUT}s" in result.message
    assert "step 7" in result.message
    assert len(result.measurements) == 1


@pytest.mark.parametrize(("behaviour", "words"), [("is_not_a_number", "nan"), ("is_infinite", "inf")])
def test_a_metric_that_is_no_finite_number_fails_the_trial(trials: Trials, behaviour: str, words: str) -> None:
    result = trials.run(behaviour)
    assert (result.outcome, result.reason) == (pb.FAILED, "NonFiniteMetric")
    assert "score" in result.message
    assert words in result.message


def test_a_metric_that_is_no_number_fails_the_trial_with_words(trials: Trials) -> None:
    result = trials.run("reports_words")
    assert (result.outcome, result.reason) == (pb.FAILED, "TaskRaised")
    assert "score" in result.message
    assert "'high'" in result.message


def test_a_task_that_reports_nothing_brings_no_measurement(trials: Trials) -> None:
    result = trials.run("reports_nothing")
    assert not result.measurements
    assert (result.outcome, result.reason) in ((pb.FAILED, "NoMetric"), (pb.SUCCEEDED, ""))


def test_a_copy_of_the_process_that_returns_from_the_task_sends_no_result(trials: Trials) -> None:
    result = trials.run("forks")
    assert result.outcome == pb.SUCCEEDED
    assert [m.metrics["score"] for m in result.measurements] == [0.5]


def test_what_a_task_leaves_running_is_killed(trials: Trials) -> None:
    metrics = trials.run("leaves_daemons").measurements[0].metrics
    daemons = [int(metrics[f"pid{i}"]) for i in range(3)]
    assert trials.run("trains").outcome == pb.SUCCEEDED
    assert not [pid for pid in daemons if is_alive(pid)]


def test_a_process_started_by_the_task_cannot_report(trials: Trials) -> None:
    result = trials.run("child_reports")
    assert [m.metrics["score"] for m in result.measurements] == [0.5]
    assert "report() was called in a process that the task has started" in trials.log


def test_of_100_megabytes_of_output_the_beginning_and_the_end_are_kept(trials: Trials) -> None:
    result = trials.run("writes_100_megabytes")
    assert result.outcome == pb.SUCCEEDED
    log = trials.log
    assert len(log) < 1024 * 1024 + 1000
    assert "the beginning" in log
    assert log.endswith("the end\n")
    assert "bytes left out]" in log


@pytest.mark.parametrize("behaviour", ["wants_memory", "wants_python_memory"])
def test_a_task_that_wants_more_memory_than_the_limit_has_run_out_of_memory(trials: Trials, behaviour: str) -> None:
    result = trials.run(behaviour)
    assert (result.outcome, result.reason) == (pb.FAILED, "OutOfMemory")
    assert result.message


@pytest.mark.parametrize(("behaviour", "name"), [("is_killed", "SIGKILL"), ("crashes", "SIGSEGV")])
def test_a_process_that_is_killed_is_lost_and_its_architecture_goes_back(
    trials: Trials, behaviour: str, name: str
) -> None:
    release = trials.controller.release_of(trials.begin(behaviour))
    assert release.lost
    assert name in release.reason


def test_an_architecture_that_is_none_is_invalid(trials: Trials) -> None:
    result = trials.controller.result_of(trials.controller.assign('{"type": "ConvNet", "layers": []}'))
    assert (result.outcome, result.reason) == (pb.FAILED, "InvalidArchitecture")
    assert "layers" in result.message


def test_a_large_architecture_arrives_whole(trials: Trials) -> None:
    layer = '{"operation":{"op":"BatchNormalization"},"inputs":[%s]}'
    layers = ",".join(layer % ",".join(str(i) for i in range(n)) for n in range(200))
    trial = trials.controller.assign(f'{{"type":"ConvNet","layers":[{layers}]}}', BEHAVIOURS.index("trains"))
    assert trials.controller.result_of(trial).outcome == pb.SUCCEEDED


def test_many_reports_are_thinned_but_not_those_of_the_reward(trials: Trials) -> None:
    trial = trials.begin("reports_often")
    result = trials.controller.result_of(trial)
    assert result.outcome == pb.SUCCEEDED
    assert len(result.measurements) <= 10_000
    scores = [m.step for m in result.measurements if "score" in m.metrics]
    assert scores[-1000:] == list(range(40_000, 50_000, 10))
    assert [m.step for m in result.measurements] == sorted(m.step for m in result.measurements)
    assert all(len(r.measurements) <= 100 for r in trials.controller.reports)


def test_heartbeats_bring_the_measurements_since_the_last_one(trials: Trials) -> None:
    trial = trials.begin("never_stops")
    trials.controller.wait_until(lambda: len(trials.controller.measured(trial)) > 20)
    trials.controller.actions[trial] = pb.ReportReply.RELEASE
    trials.controller.release_of(trial)
    steps = [m.step for m in trials.controller.measured(trial)]
    assert steps == list(range(len(steps)))


def test_told_to_stop_early_the_task_stops_at_its_next_report(trials: Trials) -> None:
    trial = trials.begin("never_stops")
    trials.controller.wait_until(lambda: trials.controller.measured(trial))
    trials.controller.actions[trial] = pb.ReportReply.STOP_EARLY
    result = trials.controller.result_of(trial)
    assert (result.outcome, result.reason) == (pb.STOPPED_EARLY, "")
    assert result.measurements


def test_told_to_stop_early_a_task_that_does_not_report_again_is_killed(trials: Trials) -> None:
    trial = trials.begin("never_reports_again")
    trials.controller.wait_until(lambda: trials.controller.measured(trial))
    trials.controller.actions[trial] = pb.ReportReply.STOP_EARLY
    result = trials.controller.result_of(trial)
    assert (result.outcome, result.reason) == (pb.STOPPED_EARLY, "")
    assert "killed" in result.message
    assert [m.step for m in result.measurements] == [1]


def test_a_task_that_closes_all_files_is_a_failed_trial(trials: Trials) -> None:
    result = trials.run("closes_everything")
    assert (result.outcome, result.reason) == (pb.FAILED, "TaskRaised")


def test_a_task_that_closes_all_files_and_hangs_is_ended_after_its_timeout(trials: Trials) -> None:
    result = trials.run("closes_everything_and_hangs")
    assert (result.outcome, result.reason) == (pb.FAILED, "TimedOut")


def test_told_to_release_the_worker_gives_the_architecture_back(trials: Trials) -> None:
    trial = trials.begin("hangs")
    trials.controller.actions[trial] = pb.ReportReply.RELEASE
    assert not trials.controller.release_of(trial).lost


def test_told_to_abandon_the_worker_kills_the_trial_and_says_nothing(trials: Trials) -> None:
    trial = trials.begin("hangs")
    trials.controller.actions[trial] = pb.ReportReply.ABANDON
    eventually(lambda: f"trial {trial} abandoned" in trials.worker.log, "the trial is abandoned")
    assert trials.run("trains").outcome == pb.SUCCEEDED
    assert trial not in trials.controller.completed
    assert trial not in trials.controller.released


def test_a_disk_that_is_full_costs_the_log_only(trials: Trials) -> None:
    number = trials.begin("trains") + 1
    log = trials.worker.directory / f"logs/trials/{number:06}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.symlink_to("/dev/full")
    assert trials.run("writes_100_megabytes").outcome == pb.SUCCEEDED
    assert trials.number == number
    eventually(lambda: "cannot write" in trials.worker.log, "the worker warns")


def test_between_trials_nothing_of_them_is_left(trials: Trials) -> None:
    trials.run("leaves_daemons")
    eventually(lambda: not trials.worker.trial_pids(), "the processes are gone")
    assert len(trials.worker.children()) == 1
