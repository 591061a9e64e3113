"""`nas train` trains the architecture of a trial to the end, and `nas export` takes it away."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nas_api.spec.trainer import Dataset
from nas_child.data.division import load_final_data
from nas_cli import final_training
from nas_cli.exporting.exported import load_network
from safetensors.torch import load_file
from typer.testing import Result

torch.set_num_threads(1)

Nas = Callable[..., Result]
FILES = ["model.onnx", "model.py", "model.safetensors"]


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_training, "count_cores", lambda: 1)


def files(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir() if file.is_file())


def test_an_architecture_is_trained_and_taken_away_with_its_accuracy(nas: Nas, state: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    untrained = nas("export", "best", "-o", out, "-s", state)
    assert untrained.exit_code == 0, untrained.output
    assert "The weights are random" in untrained.stdout
    assert files(out) == FILES

    trained = nas("train", "best", "--epochs", "3", "--device", "cpu", "-s", state)
    assert trained.exit_code == 0, trained.output
    metrics = json.loads((state / "trained" / "000003" / "metrics.json").read_text())
    assert metrics["trial"] == 3
    assert metrics["epochs"] == len(metrics["history"]) == 3
    assert metrics["test_accuracy"] > 0.3
    assert f"test accuracy {metrics['test_accuracy']:.4f} after 3 epochs" in trained.stdout

    again = nas("export", "best", "-o", out, "-s", state)
    assert again.exit_code == 0, again.output
    assert f"test accuracy {metrics['test_accuracy']:.4f}" in again.stdout
    # What was taken away has, on pixels as they come, the accuracy that was reported.
    network = load_network(out / "model.py")
    network.load_state_dict(load_file(out / "model.safetensors"))
    network.eval()
    test = load_final_data(Dataset(), tmp_path).evaluation
    with torch.inference_mode():
        correct = network(test.images.float() / 255).argmax(dim=1) == test.labels
    assert correct.float().mean().item() == pytest.approx(metrics["test_accuracy"], abs=1e-6)


def test_fields_of_the_trainer_can_be_set(nas: Nas, state: Path) -> None:
    wild = ["--set", "spec.trainer.optimizer.learningRate=100", "--set", "spec.trainer.optimizer.weightDecay=1"]
    diverged = nas("train", "1", "-e", "3", *wild, "-s", state)
    assert diverged.exit_code == 1
    assert "the training of trial 1 diverged" in diverged.stderr
    assert not (state / "trained").exists()


@pytest.mark.parametrize(
    ("old", "new", "arguments", "message"),
    [
        ("epochs: 2", "epochs: 2\n    task: mine:train", ["train", "3"], "your own task mine:train"),
        ("epochs: 2", "epochs: 2\n    dataset: {path: /nowhere}", ["train", "3"], "/nowhere"),
        ("", "", ["train", "20"], "no trial 20"),
        ("", "", ["export", "20", "-o", "out"], "no trial 20"),
        ("", "", ["export", "3", "-o", "out", "--images", "32x32/10"], "--images 32x32/10"),
        ("", "", ["export", "3", "-o", "out", "--images", "0x3x3/10"], "--images 0x3x3/10"),
    ],
)
def test_what_cannot_be_is_told_with_exit_code_2(
    nas: Nas, state: Path, old: str, new: str, arguments: list[str], message: str
) -> None:
    manifest = state / "search.yaml"
    manifest.write_text(manifest.read_text().replace(old, new, 1) if old else manifest.read_text())
    failed = nas(*arguments, "-s", state)
    assert failed.exit_code == 2
    assert message in failed.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(nas: Nas, state: Path) -> None:
    failed = nas("train", "3", "--device", "cuda", "-s", state)
    assert failed.exit_code == 2
    assert "PyTorch sees no GPU" in failed.stderr


def test_an_architecture_can_be_exported_for_images_of_a_given_shape(nas: Nas, state: Path, tmp_path: Path) -> None:
    done = nas("export", "3", "-o", tmp_path / "out", "--images", "3x16x16/7", "-s", state)
    assert done.exit_code == 0, done.output
    network = load_network(tmp_path / "out" / "model.py").eval()
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 7)


def test_a_directory_that_cannot_be_made_is_told(nas: Nas, state: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed = nas("export", "3", "-o", tmp_path / "file" / "out", "-s", state)
    assert failed.exit_code == 1
    assert "cannot write to" in failed.stderr
