"""A search for recurrent cells as a user runs it: real controller, real workers, and the cell taken away."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from nas_child.data import python_reference
from nas_controller.journal.journal import TrialState

from tests.integration.nas_program import PATIENCE, Workplace

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A little of the reference of Python, in the layout of the Penn Treebank."""
    folder = tmp_path / "text"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        (folder / f"ptb.{part}.txt").write_text(python_reference.read(part, words=True)[:2_000])
    return folder


def test_a_sample_runs_on_a_text_of_ones_own_and_the_best_cell_is_taken_away(tmp_path: Path, text: Path) -> None:
    workplace = Workplace(tmp_path)
    settings = [
        f"spec.trainer.dataset.path={text}",
        "spec.trainer.languageModel.hiddenSize=8",
        "spec.searchSpace.recurrentCell.base=2",
        "spec.controller.policy.hiddenSize=8",
        "spec.budget.maxTrials=2",
    ]
    overrides = [word for setting in settings for word in ("--set", setting)]
    search = workplace.nas(
        *("run", SAMPLES / "words.yaml", "--state", workplace.state, "--workers", "1", "--device", "cpu", "--no-live"),
        *overrides,
    )
    assert search.returncode == 0, search.stdout + search.stderr
    trials = workplace.finished()
    assert len(trials) == 2
    succeeded = [trial for trial in trials if trial.state is TrialState.SUCCEEDED]
    assert succeeded
    # One that failed has exploded, which is a result.
    assert {trial.reason for trial in trials if trial not in succeeded} <= {"NonFiniteMetric"}
    for trial in succeeded:
        (measurement,) = trial.measurements
        assert trial.reward == pytest.approx(1e6 / measurement.metrics["val_perplexity"] ** 3)
        assert measurement.metrics["val_perplexity"] == pytest.approx(math.exp(measurement.metrics["val_loss"]))

    trained = workplace.nas("train", "best", "--epochs", "1", "--state", workplace.state)
    assert trained.returncode == 0, trained.stderr
    assert "test perplexity" in trained.stdout
    exported = workplace.nas("export", "best", "-o", tmp_path / "cell", "--state", workplace.state)
    assert exported.returncode == 0, exported.stderr
    command = [sys.executable, "-I", str(tmp_path / "cell" / "model.py")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    assert "step 20: loss" in ran.stdout
