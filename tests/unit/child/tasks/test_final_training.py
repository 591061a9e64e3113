"""Final trainings of the built-in tasks: what they measure, and that what they leave is what was measured."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nas_api.architectures.recurrent_cell import LSTM_CELL
from nas_api.spec.trainer import Dataset, LanguageModel, Optimizer, Trainer
from nas_child.data import python_reference
from nas_child.data.division import load_final_data
from nas_child.data.text_division import load_search_text, load_test_text
from nas_child.network import ConvolutionalNetwork, LanguageModelNetwork
from nas_child.task import FailureReason, Trial, TrialFailure
from nas_child.tasks import load_task
from nas_child.trained import load_metrics
from nas_child.training import evaluate, evaluate_language_model
from safetensors.torch import load_file

from tests.unit.child.tasks.networks import small_network

torch.set_num_threads(1)

CPU = torch.device("cpu")
Series = list[tuple[int, dict[str, float]]]


def run(trial: Trial, cache: Path) -> Series:
    series: Series = []
    task = load_task(trial.trainer)
    task.prepare(trial.trainer, seed=0, cache=cache)
    task.run(trial, lambda step, **metrics: series.append((step, metrics)))
    return series


def test_a_classifier_is_measured_on_the_test_set_once_and_its_weights_are_those_that_were_measured(
    tmp_path: Path,
) -> None:
    trainer = Trainer(epochs=2, batch_size=32, batch_norm_epsilon=0.01)
    final = tmp_path / "final"
    trial = Trial(small_network(), 3, trainer, CPU, tmp_path, final_directory=final, number=7, search="default/digits")
    series = run(trial, tmp_path)

    validation = {"train_loss", "val_loss", "val_accuracy"}
    assert [(step, set(metrics)) for step, metrics in series] == [
        (1, validation),
        (2, validation | {"test_loss", "test_accuracy"}),
    ]
    last = series[-1][1]
    metrics = load_metrics(final)
    assert metrics is not None
    assert (metrics["trial"], metrics["search"]) == (7, "default/digits")
    assert (metrics["test_accuracy"], metrics["val_accuracy"]) == (last["test_accuracy"], last["val_accuracy"])
    # A trial of the search with this seed trains the same: on the training samples alone.
    search = run(replace(trial, final_directory=None), tmp_path)
    assert [m["val_loss"] for _, m in search] == [m["val_loss"] for _, m in series]

    data = load_final_data(trainer.dataset, tmp_path)
    network = ConvolutionalNetwork(small_network(), data.training.shape, 10, trainer.batch_norm_epsilon)
    network.load_state_dict(load_file(final / "model.safetensors"))
    task = load_task(trainer)
    task.prepare(trainer, seed=0, cache=tmp_path)
    assert evaluate(network, data.evaluation, task.data, trainer, CPU) == pytest.approx(  # type: ignore[attr-defined]
        (last["test_loss"], last["test_accuracy"]), rel=1e-5
    )


def test_a_classifier_that_diverges_has_failed(tmp_path: Path) -> None:
    trainer = Trainer(epochs=3, optimizer=Optimizer(learning_rate=100, momentum=0.99, weight_decay=1))
    trial = Trial(small_network(), 0, trainer, CPU, tmp_path, final_directory=tmp_path / "final")
    with pytest.raises(TrialFailure) as failure:
        run(trial, tmp_path)
    assert failure.value.reason is FailureReason.NON_FINITE_METRIC


def test_a_language_model_has_the_weights_of_its_best_epoch(tmp_path: Path) -> None:
    for part, length in (("train", 2_000), ("valid", 800), ("test", 800)):
        (tmp_path / f"{part}.txt").write_text(python_reference.read(part, words=False)[:length])
    trainer = Trainer(
        task="language-model",
        epochs=12,
        batch_size=8,
        dataset=Dataset(path=str(tmp_path)),
        optimizer=Optimizer(type="AdamW", learning_rate=0.1, schedule="Constant"),
        language_model=LanguageModel(level="Characters", hidden_size=24, layers=1, dropout=0, bptt=16),
    )
    final = tmp_path / "final"
    series = run(Trial(LSTM_CELL, 0, trainer, CPU, tmp_path, final_directory=final), tmp_path)

    assert len(series) == 12
    assert all("test_perplexity" not in metrics for _, metrics in series[:-1])
    perplexities = [metrics["val_perplexity"] for _, metrics in series]
    assert min(perplexities) < perplexities[-1]  # it has learnt the little text by heart
    metrics = load_metrics(final)
    assert metrics is not None
    assert metrics["val_perplexity"] == min(perplexities)
    data = load_search_text(trainer.dataset, trainer.language_model, tmp_path)
    test = load_test_text(trainer.dataset, trainer.language_model, tmp_path, data.vocabulary)
    network = LanguageModelNetwork(LSTM_CELL, trainer.language_model, len(data.vocabulary))
    network.load_state_dict(load_file(final / "model.safetensors"))
    assert evaluate_language_model(network, test, trainer, CPU) == pytest.approx(series[-1][1]["test_loss"], rel=1e-6)
