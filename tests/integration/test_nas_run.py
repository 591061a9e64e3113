"""`nas run` as a person runs it: real processes, a real data set, and everything that can go wrong in between."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nas_cli.failure import Failure
from nas_cli.results import open_results
from nas_cli.state_directory import StateDirectory
from nas_controller.journal.journal import TrialState
from nas_controller.journal.reader import SqliteReader

MANIFEST = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata:
  name: digits
spec:
  searchSpace:
    convNet:
      layers: {initial: 2, max: 2}
      filterHeights: [1, 3]
      filterWidths: [1, 3]
      filters: [4, 8]
  controller:
    duplicates: Train
    parallelism: {batchSize: 2}
  trainer:
    epochs: 1
  budget:
    maxTrials: 6
  seed: 1
"""
# A trial takes a second or two, so that there is something to interrupt.
SLOWLY = ["--set", "spec.trainer.epochs=40"]
# More trials than any machine trains before it is interrupted.
ENDLESS = ["--set", "spec.budget.maxTrials=100000"]
PATIENCE = 240.0  # seconds until a test that waits for something gives up


class NasRun:
    """A `nas run` in the background."""

    def __init__(self, directory: Path, *arguments: object) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nas_cli", "run", *map(str, arguments)],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self._process.stdout)

    def wait_for(self, pattern: str) -> None:
        """Waits until a line of the output matches."""
        wait_until(lambda: re.search(pattern, self.output) is not None, lambda: self.output, lambda: self._running)

    @property
    def _running(self) -> bool:
        return self._process.poll() is None or self._reader.is_alive()

    def signal(self, signum: signal.Signals) -> None:
        self._process.send_signal(signum)

    def end(self) -> int:
        """Waits for the end. Returns the exit status."""
        status = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def wait_until(
    condition: Callable[[], bool], explain: Callable[[], str] = lambda: "", going: Callable[[], bool] = lambda: True
) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, explain()
        assert going() or condition(), explain()
        time.sleep(0.05)


def children(pid: int) -> dict[int, str]:
    """Processes that `pid` has started, with their command lines."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{pid}\n" in status.read_text():
                found[int(status.parent.name)] = (status.parent / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def child(pid: int, module: str) -> int:
    """The first process of `python -m MODULE` that `pid` has started."""
    return min(process for process, command in children(pid).items() if f"-m {module} " in command)


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    (tmp_path / "search.yaml").write_text(MANIFEST)
    return tmp_path


Start = Callable[..., NasRun]


@pytest.fixture
def start(workplace: Path) -> Iterator[Start]:
    """Starts a `nas run` in the workplace."""
    started: list[NasRun] = []

    def run(*arguments: object) -> NasRun:
        started.append(NasRun(workplace, *(arguments or ["search.yaml", "--workers", "2"])))
        return started[-1]

    yield run
    for one in started:
        one.kill()


def nas(directory: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "nas_cli", *map(str, arguments)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=PATIENCE)


def check_complete(workplace: Path, trials: int) -> None:
    """Every trial has a result, once, and every complete batch has made one update."""
    with open_results(workplace / "runs" / "digits") as results:
        finished = results.finished()
        assert sorted(record.sampled.trial for record in finished) == list(range(1, trials + 1))
        assert [record.sequence for record in finished] == list(range(1, trials + 1))
        assert {record.state for record in finished} == {TrialState.SUCCEEDED}
        batches = [update.batch for update in results.updates()]
        assert sorted(batches) == list(range(1, trials // 2 + 1))


def check_nothing_left(workplace: Path) -> None:
    """Every process that was started in the workplace ends."""
    wait_until(lambda: not processes_in(workplace), lambda: str(processes_in(workplace)))


def processes_in(directory: Path) -> list[str]:
    """Command lines of the processes whose working directory is `directory`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == directory:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def test_a_search_from_its_manifest_to_its_best_network(workplace: Path, start: Start) -> None:
    run = start()
    assert run.end() == 0, run.output
    check_complete(workplace, 6)
    check_nothing_left(workplace)
    assert sum(bool(re.search(r"\d/6 trial \d reward 0\.\d+, val_accuracy", line)) for line in run.lines) == 6
    assert "digits has ended: 6 trials have finished" in run.output
    assert "nas show best -s runs/digits" in run.output

    best = json.loads(nas(workplace, "best", "-o", "json").stdout)
    assert f"trial {best['trial']}: reward {best['reward']:.4f}" in run.output
    assert best["reward"] == pytest.approx(best["val_accuracy"] ** 3)
    assert len(nas(workplace, "trials").stdout.splitlines()) == 7
    assert nas(workplace, "plot", "-o", "curve.png").returncode == 0
    assert nas(workplace, "plot", "--trial", "best", "-o", "best.svg").returncode == 0

    # Run again, it says that it is done, at once and without starting anything.
    again = nas(workplace, "run", "search.yaml", "--workers", "2")
    assert again.returncode == 0
    assert "nas run search.yaml --workers 2 --set spec.budget.maxTrials=12" in again.stdout

    # Another search is refused, and a larger budget takes this one further.
    other = nas(workplace, "run", "search.yaml", "--set", "spec.seed=2")
    assert other.returncode == 2
    assert "spec.seed: 1 became 2" in other.stderr
    further = start("search.yaml", "--workers", "2", "--set", "spec.budget.maxTrials=8")
    assert further.end() == 0, further.output
    check_complete(workplace, 8)


def test_ctrl_c_finishes_what_is_in_training_and_the_search_goes_on_later(workplace: Path, start: Start) -> None:
    run = start("search.yaml", "--workers", "2", *SLOWLY, *ENDLESS)
    run.wait_for(r"1/100000 trial")
    second = nas(workplace, "run", "search.yaml")
    assert second.returncode == 2
    assert f"another `nas run` (process {run.pid}) is working on runs/digits" in second.stderr

    run.signal(signal.SIGINT)
    assert run.end() == 130, run.output
    assert "digits was stopped before its end" in run.output
    assert f"nas run search.yaml --workers 2 {' '.join(SLOWLY + ENDLESS)}" in run.output  # how to go on
    check_nothing_left(workplace)
    with open_results(workplace / "runs" / "digits") as results:
        before, trials = results.finished(), results.trials()
    assert before
    assert {record.state for record in trials} <= {TrialState.SUCCEEDED, TrialState.PENDING}  # none was cut short

    more = len(trials) + 4
    again = start("search.yaml", "--workers", "2", *SLOWLY, "--set", f"spec.budget.maxTrials={more}")
    assert again.end() == 0, again.output
    check_complete(workplace, more)
    with open_results(workplace / "runs" / "digits") as results:
        assert results.finished()[: len(before)] == before


def test_a_second_ctrl_c_gives_back_and_a_third_kills(workplace: Path, start: Start) -> None:
    hour = ["search.yaml", "--workers", "1", "--set", "spec.trainer.epochs=100000"]
    run = start(*hour)
    wait_until(lambda: bool(leased(workplace)), lambda: run.output)
    run.signal(signal.SIGINT)
    run.wait_for("workers finish what they train")
    run.signal(signal.SIGINT)
    assert run.end() == 130, run.output
    assert "workers give back what they train" in run.output
    with open_results(workplace / "runs" / "digits") as results:
        assert {record.state for record in results.trials()} == {TrialState.PENDING}
        assert results.progress().leases_expired == 0

    run = start(*hour)
    wait_until(lambda: bool(leased(workplace)), lambda: run.output)
    for words in ("workers finish what they train", "workers give back what they train"):
        run.signal(signal.SIGINT)
        run.wait_for(words)  # signals of one kind that come together count as one
    run.signal(signal.SIGINT)
    assert run.end() == 130, run.output
    check_nothing_left(workplace)


def finished(workplace: Path) -> int:
    """Trials that have finished. The output says so later: up to two seconds, while a controller is started again."""
    try:
        with open_results(workplace / "runs" / "digits") as results:
            return len(results.finished())
    except Failure:  # the journal is being made
        return 0


def leased(workplace: Path) -> set[str | None]:
    """Workers that hold a trial."""
    try:
        with open_results(workplace / "runs" / "digits") as results:
            return {record.worker for record in results.trials() if record.state is TrialState.LEASED}
    except Failure:  # the journal is being made
        return set()


def test_a_controller_and_a_worker_that_are_killed_are_started_again(workplace: Path, start: Start) -> None:
    run = start("search.yaml", "--workers", "2", "--set", "spec.budget.maxTrials=20", *SLOWLY)
    wait_until(lambda: finished(workplace) >= 2, lambda: run.output)
    os.kill(child(run.pid, "nas_controller"), signal.SIGKILL)
    run.wait_for("the controller is started again")
    wait_until(lambda: finished(workplace) >= 4, lambda: run.output)
    os.kill(child(run.pid, "nas_child"), signal.SIGKILL)
    assert run.end() == 0, run.output
    assert "the controller died by signal SIGKILL" in run.output
    assert re.search(r"worker default-\d died by signal SIGKILL", run.output)
    check_complete(workplace, 20)
    check_nothing_left(workplace)
    with SqliteReader(workplace / "runs" / "digits" / "journal.sqlite") as journal:
        assert journal.recover().epoch == 2


def test_when_nas_run_is_killed_its_processes_end_and_the_next_run_goes_on(workplace: Path, start: Start) -> None:
    run = start("search.yaml", "--workers", "2", *SLOWLY)
    wait_until(lambda: finished(workplace) >= 2, lambda: run.output)
    run.signal(signal.SIGKILL)
    run.end()
    again = start()
    assert again.end() == 0, again.output
    check_complete(workplace, 6)
    check_nothing_left(workplace)


def test_a_termination_request_gives_back_and_ends(workplace: Path, start: Start) -> None:
    run = start("search.yaml", "--workers", "1", "--set", "spec.trainer.epochs=100000")
    wait_until(lambda: bool(leased(workplace)), lambda: run.output)
    run.signal(signal.SIGTERM)
    assert run.end() == 128 + signal.SIGTERM, run.output
    check_nothing_left(workplace)
    assert not leased(workplace)


def test_data_that_are_not_there_end_the_run_with_the_worker_s_own_words(workplace: Path, start: Start) -> None:
    run = start("search.yaml", "--workers", "1", "--set", "spec.trainer.dataset.path=/no/such/data")
    assert run.end() == 2, run.output
    assert "worker default-0 cannot work with this configuration" in run.output
    assert "/no/such/data" in run.output
    assert "Traceback" not in run.output
    check_nothing_left(workplace)


def test_a_search_whose_trials_all_fail_ends_as_failed_and_says_where_to_look(workplace: Path, start: Start) -> None:
    (workplace / "mine.py").write_text("def train(trial, report):\n    raise ValueError('my mistake')\n")
    failing = ["--set", "spec.trainer.task=mine:train", "--set", "spec.budget.maxConsecutiveFailures=3"]
    run = start("search.yaml", "--workers", "1", *failing)
    assert run.end() == 1, run.output
    assert "TaskRaised: ValueError: my mistake" in run.output
    assert "budget.maxConsecutiveFailures" in run.output
    assert "nas trials --failed -s runs/digits" in run.output
    shown = nas(workplace, "show", "1")
    assert "my mistake" in shown.stdout
    assert "runs/digits/logs/trials/000001.log" in shown.stdout

    # Mended, it goes on.
    (workplace / "mine.py").write_text("def train(trial, report):\n    report(1, val_accuracy=0.5)\n")
    again = start("search.yaml", "--workers", "1", *failing)
    assert again.end() == 0, again.output
    with open_results(workplace / "runs" / "digits") as results:
        assert [r.state for r in results.finished()] == [TrialState.FAILED] * 3 + [TrialState.SUCCEEDED] * 3


def test_pools_share_the_workers_and_each_has_its_own_certificate(workplace: Path, start: Start) -> None:
    with (workplace / "search.yaml").open("a") as manifest:
        manifest.write("  pools: [{name: big}, {name: small}]\n")
    run = start("search.yaml", "--workers", "2", "--set", "spec.trainer.epochs=100000")
    wait_until(lambda: leased(workplace) == {"big-0", "small-0"}, lambda: run.output)
    run.kill()
    check_nothing_left(workplace)


@pytest.mark.parametrize("text", ["", "kind: [", MANIFEST.replace("maxTrials: 6", "maxTrials: 0")])
def test_a_bad_manifest_starts_nothing(workplace: Path, text: str) -> None:
    (workplace / "search.yaml").write_text(text)
    failed = nas(workplace, "run", "search.yaml")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert "search.yaml" in failed.stderr
    assert not (workplace / "runs").exists()


def obey_permissions() -> None:
    """Takes from root the privilege to write everywhere, for the program that is executed next."""
    prctl_capbset_drop, cap_dac_override = 24, 1
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(prctl_capbset_drop, cap_dac_override) != 0:
        raise OSError("cannot drop CAP_DAC_OVERRIDE")


def test_a_state_directory_that_cannot_be_written_is_told(workplace: Path) -> None:
    (workplace / "state").mkdir(mode=0o555)
    failed = subprocess.run(
        [sys.executable, "-m", "nas_cli", "run", "search.yaml", "--state", "state"],
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=obey_permissions,
    )
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert "cannot write to the state directory state: Permission denied" in failed.stderr


def test_a_held_lock_names_its_holder(workplace: Path) -> None:
    with StateDirectory(workplace / "runs" / "digits").locked():
        failed = nas(workplace, "run", "search.yaml")
    assert failed.returncode == 2
    assert f"(process {os.getpid()})" in failed.stderr
