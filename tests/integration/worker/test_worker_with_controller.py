"""A worker and a real controller: whatever is killed, every architecture is trained and the run completes."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from nas_api.certificates import Identity
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from .conftest import WorkerProcess, eventually, is_alive, start_worker

TRIALS = 6
SPEC = f"""\
  searchSpace:
    convNet: {{layers: {{initial: 2, increment: 0}}, filters: [4, 8]}}
  controller:
    duplicates: Train
    parallelism: {{batchSize: 2}}
    lease: {{duration: 3s}}
  reward: {{metric: score, exponent: 1}}
  trainer: {{task: "the_task:task"}}
  budget: {{maxTrials: {TRIALS}}}
"""
TASK = dedent(
    '''
    import os, time
    from pathlib import Path

    def task(trial, report):
        """Waits until the test lets it go on, and leaves a note that it has begun."""
        Path(f"begun-{os.getpid()}").touch()
        report(0, score=0.1, pid=os.getpid())
        while Path("hold").exists():
            time.sleep(0.01)
        report(1, score=0.5)
    '''
)


class Run:
    """A search with a real controller, and workers in the same directory."""

    def __init__(self, controller: Any, directory: Path) -> None:
        self.controller = controller
        self.directory = directory
        self.workers: list[WorkerProcess] = []

    def begin(self, spec: str = SPEC, task: str = TASK) -> None:
        self.controller.write_manifest(spec)
        (self.directory / "the_task.py").write_text(task)
        self.controller.start()

    def start_worker(self, name: str, *arguments: str) -> WorkerProcess:
        worker = start_worker(
            self.directory,
            self.controller.listen,
            certificates=self.directory / "worker",
            arguments=("--worker-id", name, *arguments),
            log=f"{name}.log",
        )
        self.workers.append(worker)
        return worker

    def hold(self) -> None:
        """Has trials wait in their task."""
        (self.directory / "hold").touch()

    def let_go(self) -> None:
        (self.directory / "hold").unlink()

    def wait_for_trial_of(self, worker: WorkerProcess) -> tuple[int, int]:
        """Waits until a worker trains. Returns the process ids of its fork server and of its trial."""
        found: list[int] = []

        def begun() -> bool:
            found[:] = [
                pid for pid in worker.trial_pids() if (self.directory / f"begun-{pid}").exists() and is_alive(pid)
            ]
            return bool(found)

        eventually(begun, "the worker trains")
        return worker.children()[0], found[0]

    def wait_until_ended(self, *workers: WorkerProcess) -> dict[int, pb.Trial]:
        """Waits until the search has ended and these workers are retired. Returns the trials by number."""
        self.controller.wait_until_ended()
        for worker in workers:
            assert worker.wait() == 0, worker.log
        with self.controller.channel("admin") as channel:
            reply = rpc.SearchServiceStub(channel).ListTrials(pb.ListTrialsRequest(measurements=True), timeout=20)
        return {trial.trial_id: trial for trial in reply.trials}


@pytest.fixture
def run(make_controller: Callable[[Path], Any], tmp_path: Path) -> Iterator[Run]:
    """A search that has not begun."""
    run = Run(make_controller(tmp_path), tmp_path)
    yield run
    for worker in run.workers:
        worker.kill()
        worker.wait()


def assert_complete(trials: dict[int, pb.Trial]) -> None:
    """Every architecture has the result of an undisturbed training."""
    assert sorted(trials) == list(range(1, TRIALS + 1))
    for trial in trials.values():
        assert (trial.state, trial.reward) == ("Succeeded", 0.5)
        assert [m.step for m in trial.measurements] == [0, 1]


def test_a_search_on_the_digits_completes(run: Run) -> None:
    spec = SPEC.replace("metric: score, exponent: 1", "exponent: 3").replace('task: "the_task:task"', "epochs: 2")
    run.begin(spec)
    trials = run.wait_until_ended(run.start_worker("w0"))
    assert sorted(trials) == list(range(1, TRIALS + 1))
    for trial in trials.values():
        assert trial.state == "Succeeded"
        accuracy = max(m.metrics["val_accuracy"] for m in trial.measurements)
        assert trial.reward == pytest.approx(accuracy**3)
        assert trial.worker_id == "w0"
        assert trial.train_seconds > 0
    assert (run.directory / "logs/trials/000001.log").read_text().startswith("--- trial 1, attempt 1, worker w0")


@pytest.mark.parametrize("killed", ["worker", "fork server", "trial"])
def test_after_kill_9_the_architecture_is_trained_again_and_the_run_completes(run: Run, killed: str) -> None:
    run.begin()
    run.hold()
    first, second = run.start_worker("w0"), run.start_worker("w1")
    server, trial = run.wait_for_trial_of(first)
    os.kill({"worker": first.process.pid, "fork server": server, "trial": trial}[killed], signal.SIGKILL)
    eventually(lambda: not is_alive(trial), "the trial has ended")
    run.let_go()
    trials = run.wait_until_ended(*([second] if killed == "worker" else [first, second]))
    assert_complete(trials)
    assert sorted(t.attempts for t in trials.values()) == [1] * (TRIALS - 1) + [2]


def test_a_worker_that_is_started_again_under_its_name_goes_on(run: Run) -> None:
    run.begin()
    run.hold()
    first = run.start_worker("w0")
    run.wait_for_trial_of(first)
    first.kill()
    run.let_go()
    assert_complete(run.wait_until_ended(run.start_worker("w0")))


def test_after_sigterm_of_a_worker_its_architecture_is_trained_by_another_and_no_attempt_is_lost(run: Run) -> None:
    run.begin()
    run.hold()
    first = run.start_worker("w0")
    run.wait_for_trial_of(first)
    first.kill(signal.SIGTERM)
    assert first.wait() == 0
    run.let_go()
    trials = run.wait_until_ended(run.start_worker("w1"))
    assert_complete(trials)
    assert all(trial.worker_id == "w1" for trial in trials.values())
    assert "w0" not in [trial.worker_id for trial in trials.values()]


def test_when_the_controller_is_killed_training_goes_on_and_no_architecture_is_trained_twice(run: Run) -> None:
    run.begin()
    run.hold()
    worker = run.start_worker("w0")
    _, trial = run.wait_for_trial_of(worker)
    run.controller.kill()
    run.let_go()
    eventually(lambda: not is_alive(trial), "the trial ends while there is no controller")
    run.controller.start()
    assert_complete(run.wait_until_ended(worker))
    assert len(list(run.directory.glob("begun-*"))) == TRIALS


def test_drained_at_once_a_worker_gives_its_architecture_back_and_goes(run: Run) -> None:
    run.begin()
    run.hold()
    worker = run.start_worker("w0")
    run.wait_for_trial_of(worker)
    with run.controller.channel("admin") as channel:
        service = rpc.SearchServiceStub(channel)
        service.DrainWorkers(pb.DrainWorkersRequest(now=True), timeout=20)
        assert worker.wait() == 0
        summary = service.GetSummary(pb.GetSummaryRequest(), timeout=20)
    assert (summary.trials_leased, summary.trials_finished) == (0, 0)
    assert summary.trials_pending > 0


@pytest.mark.parametrize("restarted", [False, True])
def test_drained_while_it_trains_a_worker_finishes_its_trial_and_exits_with_0(run: Run, restarted: bool) -> None:
    run.begin()
    run.hold()
    worker = run.start_worker("w0")
    run.wait_for_trial_of(worker)
    if restarted:
        run.controller.kill()
        run.controller.start()
    with run.controller.channel("admin") as channel:
        service = rpc.SearchServiceStub(channel)
        service.DrainWorkers(pb.DrainWorkersRequest(worker_ids=["w0"]), timeout=20, wait_for_ready=True)
        run.let_go()
        assert worker.wait() == 0
        (trial,) = service.GetSummary(pb.GetSummaryRequest(), timeout=20).best
    assert (trial.trial_id, trial.worker_id, trial.reward, trial.attempts) == (1, "w0", 0.5, 1)


FAILURES = {
    "raise ValueError('no luck')": ("TaskRaised", "ValueError: no luck"),
    "report(0, score=float('nan'))": ("NonFiniteMetric", "score is nan"),
    "pass": ("NoMetric", "report"),
    "report(0, accuracy=1)": ("NoMetric", "accuracy"),
    "bytearray(10**12)": ("OutOfMemory", ""),
    "time.sleep(600)": ("TimedOut", "spec.trainer.timeout"),
    "os.kill(os.getpid(), signal.SIGKILL)": ("AttemptsExhausted", "maxAttempts"),
}
FAILING_TASK = f"""
import os, signal, time
from pathlib import Path

def task(trial, report):
    note = Path(f"note-{{trial.seed}}")  # the same when the trial is tried again
    if not note.exists():
        note.write_text(str(len(list(Path().glob("note-*")))))
    exec({list(FAILURES)}[int(note.read_text())])
"""


def test_tasks_that_fail_give_their_architectures_the_reward_of_failed_trials(run: Run) -> None:
    spec = SPEC.replace(f"maxTrials: {TRIALS}", f"maxTrials: {len(FAILURES)}")
    spec = spec.replace("duration: 3s", "duration: 3s, maxAttempts: 2")
    spec = spec.replace('"the_task:task"', '"the_task:task", memoryLimit: 1G, timeout: 5s')
    run.begin(spec, FAILING_TASK)
    trials = run.wait_until_ended(run.start_worker("w0"))
    assert sorted(t.reason for t in trials.values()) == sorted(reason for reason, _ in FAILURES.values())
    for trial in trials.values():
        assert (trial.state, trial.reward) == ("Failed", 0.0)
        assert any(reason == trial.reason and words in trial.message for reason, words in FAILURES.values())


def test_a_certificate_of_another_pool_is_a_configuration_that_cannot_work(run: Run) -> None:
    run.begin()
    run.controller.issue("worker", Identity(run.controller.search, "pool", "other"))
    worker = run.start_worker("w0")
    assert worker.wait() == os.EX_CONFIG
    assert "may not work for pool 'default'" in worker.log.splitlines()[-1]


def test_what_falls_behind_is_stopped_early_also_after_a_kill_of_the_controller(run: Run) -> None:
    """Each trial scores what its seed says, from its first step on, and each is worse than those before."""
    stopping = "earlyStopping: {type: ASHA, asha: {reductionFactor: 2}}"
    task = """
import time
from pathlib import Path

def task(trial, report):
    begun = Path(f"begun-{trial.seed}")
    begun.touch()
    score = 1.0 / len(list(Path().glob("begun-*")))
    for step in range(1, 501):
        report(step, score=score)
        if score == 1.0 and step > 3:
            return
        time.sleep(0.1)
"""
    run.begin(SPEC.replace("    lease:", f"    {stopping}\n    lease:"), task)
    worker = run.start_worker("w0")
    eventually(lambda: len(list(run.directory.glob("begun-*"))) > 2, "the third trial is in training")
    run.controller.kill()
    run.controller.start()
    trials = run.wait_until_ended(worker)
    assert trials[1].state == "Succeeded"
    later = [trials[number] for number in range(2, TRIALS + 1)]
    assert {trial.state for trial in later} == {"StoppedEarly"}
    for trial in later:
        assert len(trial.measurements) < 500
        assert trial.reward == pytest.approx(trial.measurements[-1].metrics["score"])


def test_a_first_training_has_its_own_epochs_and_data_and_the_best_are_trained_in_full(run: Run) -> None:
    spec = SPEC.replace(
        "    lease:", "    lowFidelity: {epochs: 2, dataFraction: 0.5, reductionFactor: 2}\n    lease:"
    ).replace('task: "the_task:task"', 'task: "the_task:task", epochs: 9')
    task = """
def task(trial, report):
    score = trial.seed % 1000 / 1000
    report(1, score=score, epochs=trial.epochs, fraction=trial.data_fraction)
"""
    run.begin(spec, task)
    trials = run.wait_until_ended(run.start_worker("w0"))
    trained = {
        (trial.state, trial.reason, m.metrics["epochs"], m.metrics["fraction"])
        for trial in trials.values()
        for m in trial.measurements
    }
    assert trained == {("Succeeded", "", 9.0, 1.0), ("StoppedEarly", "NotPromoted", 2.0, 0.5)}
