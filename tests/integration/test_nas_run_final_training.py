"""`nas run` with a second stage: real trainings, their test figures and weights, and processes that are killed."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from nas_controller.journal.journal import FinalTrainingRecord, JournalError, TrialState
from nas_controller.journal.reader import SqliteReader
from safetensors.torch import load_file

from tests.integration.nas_program import Workplace, wait_until

TRAINER = "  trainer: {epochs: 1, dataset: {path: digits}}"
OWN_TASK = """\
import os, time
from pathlib import Path

def train(trial, report):
    if not trial.final:
        report(1, accuracy=trial.parameters["width"] / 10)
        return
    here = Path(trial.parameters["here"])
    (here / f"began-{trial.parameters['width']}").write_text(str(os.getpid()))
    while not (here / "go on").exists():
        time.sleep(0.02)
    (trial.final_directory / "mine.txt").write_text(f"width {trial.parameters['width']}, {trial.epochs} epochs")
    report(1, accuracy=trial.parameters["width"] / 10, test_accuracy=0.25)
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()


def final_trainings(workplace: Workplace) -> list[FinalTrainingRecord]:
    try:
        with SqliteReader(workplace.state / "journal.sqlite") as journal:
            return journal.final_trainings()
    except JournalError:  # not there yet
        return []


def write_own_task(workplace: Workplace) -> None:
    (workplace.directory / "own_task.py").write_text(OWN_TASK)
    workplace.write_manifest(
        f"  trainer: {{task: 'own_task:train', parameters: {{width: 3, here: '{workplace.directory}'}}}}",
        "  reward: {metric: accuracy}",
        "  finalTraining: {epochs: 7, grid: {parameters: {width: [4, 5]}}}",
        trials=2,
    )


def test_the_best_are_trained_to_the_end_and_their_test_figures_and_weights_can_be_had(workplace: Workplace) -> None:
    grid = "finalTraining: {top: 9, epochs: 2, grid: {learningRate: [0.1, 100], batchNormEpsilon: [0.001]}}"
    workplace.write_manifest(TRAINER, f"  {grid}", trials=2)
    run = workplace.run()
    assert run.returncode == 0, run.stdout + run.stderr

    workplace.assert_complete(trials=2)
    records = final_trainings(workplace)
    assert len(records) == 4
    good = [record for record in records if '"learningRate":0.1}' in record.planned.settings]
    assert all(record.state is TrialState.SUCCEEDED for record in good)
    assert set(good[0].measurements[-1].metrics) == {
        "train_loss",
        "val_loss",
        "val_accuracy",
        "test_loss",
        "test_accuracy",
    }
    assert "final training" in run.stdout
    assert "test_accuracy" in run.stdout

    shown = json.loads(workplace.nas("show", "best", "-s", workplace.state, "-o", "json").stdout)
    tested = shown["finalTraining"]["metrics"]["test_accuracy"]
    assert 0 < tested <= 1
    out = workplace.directory / "out"
    exported = workplace.nas("export", "best", "-o", out, "-s", workplace.state)
    assert exported.returncode == 0, exported.stderr
    assert f"test accuracy {tested:.4f}" in exported.stdout
    assert load_file(out / "model.safetensors")
    assert "module.eps = 0.001" in (out / "model.py").read_text()


def test_a_killed_controller_and_a_killed_worker_lose_no_training(workplace: Workplace) -> None:
    write_own_task(workplace)
    run = workplace.start()
    wait_until(lambda: (workplace.directory / "began-4").exists() or run.process.poll() is not None, "a training")
    os.kill(run.child("nas_controller"), signal.SIGKILL)
    os.kill(run.child("nas_child"), signal.SIGKILL)
    (workplace.directory / "go on").touch()

    assert run.wait() == 0, run.output
    records = final_trainings(workplace)
    assert [record.state for record in records] == [TrialState.SUCCEEDED] * 2, run.output
    assert [record.reward for record in records] == [pytest.approx(0.4**3), pytest.approx(0.5**3)]
    assert [file.name for file in (workplace.state / "weights").iterdir()] == ["000002.tar"]
    workplace.assert_complete(trials=2)
    out = workplace.directory / "out"
    exported = workplace.nas("export", "best", "-o", out, "-s", workplace.state)
    assert exported.returncode == 0, exported.stderr
    assert (out / "final" / "mine.txt").read_text() == "width 5, 7 epochs"


def test_a_run_that_is_interrupted_goes_on_with_the_stage_and_an_edit_raises_it_again(workplace: Workplace) -> None:
    write_own_task(workplace)
    run = workplace.start()
    wait_until(lambda: (workplace.directory / "began-4").exists() or run.process.poll() is not None, "a training")
    run.process.terminate()
    assert run.wait() == 128 + signal.SIGTERM, run.output
    (workplace.directory / "go on").touch()
    again = workplace.run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(final_trainings(workplace)) == 2
    assert "2 trials have finished" in workplace.run().stdout  # it has ended

    more = workplace.run("--set", "spec.finalTraining.grid.parameters.width=[4, 5, 6]")
    assert more.returncode == 0, more.stdout + more.stderr
    assert [record.reward for record in final_trainings(workplace)][2] == pytest.approx(0.6**3)


def test_weights_that_are_too_large_are_not_kept_and_the_training_says_so(workplace: Workplace) -> None:
    workplace.write_manifest(TRAINER, "  finalTraining: {epochs: 1, maxWeightsSize: 1k}", trials=2)
    run = workplace.run()
    assert run.returncode == 0, run.stdout + run.stderr

    [record] = final_trainings(workplace)
    assert record.state is TrialState.SUCCEEDED
    assert record.weights_bytes == 0
    assert "spec.finalTraining.maxWeightsSize is 1,000" in record.message
