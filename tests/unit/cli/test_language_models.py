"""`nas train` and `nas export` of a search for recurrent cells."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nas_api.architectures.recurrent_cell import LSTM_CELL
from nas_child.data import python_reference
from nas_cli import final_training
from nas_cli.exporting.exported import load_network
from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    LeaseGranted,
    Measurement,
    SampledTrial,
    TrialFinished,
    TrialState,
)
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.proposal import Proposal
from safetensors.torch import load_file
from torch.nn import functional
from typer.testing import Result

torch.set_num_threads(1)

Nas = Callable[..., Result]
MANIFEST = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata: {{name: letters}}
spec:
  searchSpace: {{type: RecurrentCell}}
  trainer:
    task: language-model
    epochs: 1
    batchSize: 16
    dataset: {{path: {path}}}
    languageModel: {{level: Characters, hiddenSize: 16, layers: 1, dropout: 0, bptt: 16, sharedEmbeddings: true}}
    optimizer: {{type: AdamW, learningRate: 0.01}}
  reward: {{metric: val_perplexity, aggregate: Min, window: all, scale: 1000, exponent: -3}}
"""


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_training, "count_cores", lambda: 1)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Part of the reference of Python."""
    folder = tmp_path / "text"
    folder.mkdir()
    for part, length in (("train", 12_000), ("valid", 3_000), ("test", 3_000)):
        (folder / f"{part}.txt").write_text(python_reference.read(part, words=False)[:length])
    return folder


@pytest.fixture
def state(tmp_path: Path, text: Path) -> Path:
    """The state directory of a search whose only trial, an LSTM, has ended."""
    directory = tmp_path / "state"
    directory.mkdir()
    (directory / "search.yaml").write_text(MANIFEST.format(path=text))
    trial = SampledTrial(1, 1, Proposal((1,), 1), LSTM_CELL.canonical().to_json(), LSTM_CELL.digest, 0, 0)
    measured = (Measurement(1, {"train_loss": 3.0, "val_loss": 2.5, "val_perplexity": math.exp(2.5)}, 1.5),)
    with SqliteJournal(directory / "journal.sqlite", "default/letters") as journal:
        for record in (
            ControllerStarted(1, 1_700_000_000.0),
            BatchSampled(1, 0, (trial,), 1_700_000_001.0),
            LeaseGranted("1.1", 1, "default-0", "request-1", 1, 1_700_000_002.0),
            TrialFinished(
                1, 1, "1.1", "default-0", TrialState.SUCCEEDED, 0.5, "", "", measured, 3.0, 3.0, 1_700_000_010.0
            ),
        ):
            journal.write(record).result()
    return directory


def test_a_cell_is_trained_and_taken_away_with_its_perplexity(
    nas: Nas, state: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    untrained = nas("export", "best", "-o", out, "-s", state)
    assert untrained.exit_code == 0, untrained.output
    assert "The weights are random" in untrained.stdout
    assert sorted(file.name for file in out.glob("*.*")) == ["model.py", "model.safetensors", "vocabulary.json"]

    size = "spec.trainer.languageModel.hiddenSize=20"
    trained = nas("train", "best", "--epochs", "3", "--device", "cpu", "--set", size, "-s", state)
    assert trained.exit_code == 0, trained.output
    metrics = json.loads((state / "trained" / "000001" / "metrics.json").read_text())
    assert metrics["epochs"] == len(metrics["history"]) == 3
    assert metrics["val_perplexity"] == min(epoch["val_perplexity"] for epoch in metrics["history"])
    assert metrics["test_perplexity"] < 40
    assert f"test perplexity {metrics['test_perplexity']:.2f} after 3 epochs" in trained.stdout
    assert f"{text}: characters, 12,000 for training" in metrics["text"]

    again = nas("export", "best", "-o", out, "-s", state)
    assert again.exit_code == 0, again.output
    assert f"test perplexity {metrics['test_perplexity']:.2f}" in again.stdout
    # What was taken away, of the size that was trained, has the perplexity that was reported.
    network = load_network(out / "model.py")
    network.load_state_dict(load_file(out / "model.safetensors"))
    network.eval()
    tokens = json.loads((out / "vocabulary.json").read_text())
    numbers = torch.tensor([tokens.index(c) if c in tokens else 0 for c in (text / "test.txt").read_text()])
    pieces = numbers[: len(numbers) // 16 * 16].view(16, -1).t()
    with torch.inference_mode():
        scores, _ = network(pieces[:-1])
        loss = functional.cross_entropy(scores.flatten(0, 1), pieces[1:].flatten())
    assert loss.exp().item() == pytest.approx(metrics["test_perplexity"], rel=1e-4)


def test_the_weights_are_those_of_the_epoch_that_was_best_on_the_validation_text(nas: Nas, state: Path) -> None:
    """A learning rate that is much too high makes them go up and down."""
    wild = ["--set", "spec.trainer.optimizer.learningRate=0.5", "--set", "spec.trainer.optimizer.schedule=Constant"]
    trained = nas("train", "1", "--epochs", "6", "--device", "cpu", *wild, "-s", state)
    assert trained.exit_code == 0, trained.output
    metrics = json.loads((state / "trained" / "000001" / "metrics.json").read_text())
    perplexities = [epoch["val_perplexity"] for epoch in metrics["history"]]
    assert metrics["best_epoch"] == 1 + perplexities.index(min(perplexities))
    assert metrics["val_perplexity"] == min(perplexities)


@pytest.mark.parametrize(
    ("old", "new", "command", "message"),
    [
        ("text}", "text}", "train", "no test text in this folder"),
        ("task: language-model", "task: mine:train", "train", "your own task mine:train"),
        ("task: language-model", "task: mine:train", "export", "your own task mine:train builds"),
    ],
)
def test_what_cannot_be_is_told_with_exit_code_2(
    nas: Nas, state: Path, text: Path, tmp_path: Path, old: str, new: str, command: str, message: str
) -> None:
    manifest = state / "search.yaml"
    manifest.write_text(manifest.read_text().replace(old, new))
    (text / "test.txt").unlink()
    output = ["-o", tmp_path / "out"] if command == "export" else ["-e", "1"]
    failed = nas(command, "1", *output, "-s", state)
    assert failed.exit_code == 2
    assert message in " ".join(failed.stderr.split())
