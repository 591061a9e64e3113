"""The training of an architecture to the end (paper, section 4.1): in the second stage of a search, and in `nas train`.

Weights, metrics and what else belongs to them are written to a directory, see `nas_child.trained`.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import ConvNet, RecurrentCell
from nas_api.spec import Trainer
from torch import Tensor

from nas_child.data.division import Division
from nas_child.data.reading import LabelledImages
from nas_child.data.text_division import TextDivision
from nas_child.network import ConvolutionalNetwork, LanguageModelNetwork
from nas_child.task import FailureReason, Trial, TrialFailure
from nas_child.trained import ClassifierMetrics, LanguageModelMetrics, save
from nas_child.training import (
    EpochResult,
    LanguageModelEpoch,
    evaluate,
    evaluate_language_model,
    train,
    train_language_model,
)
from nas_child.training.language_model import check_length, perplexity


def known_metrics(trial: Trial) -> dict[str, Any]:
    """The fields of the metrics that are the same for every kind of network, of a training of the second stage."""
    return {
        "search": trial.search,
        "trial": trial.number,
        "digest": trial.architecture.digest,
        "epochs": trial.epochs,
        "device": torch.cuda.get_device_name(trial.device) if trial.device.type == "cuda" else "cpu",
    }


def train_classifier_to_the_end(
    architecture: ConvNet,
    data: Division,
    test: LabelledImages | None,
    trainer: Trainer,
    device: torch.device,
    seed: int,
    known: dict[str, Any],
    directory: Path,
    on_epoch: Callable[[EpochResult], None],
) -> ClassifierMetrics:
    """Trains an image classifier. The weights are those after the last epoch.

    Args:
        architecture: what to train.
        data: what to learn from, and what to measure on after each epoch.
        test: what to measure on at the end. None: what `data` measures on is the test set.
        trainer: how, and for how many epochs.
        device: where to train.
        seed: of the order of the samples. That of the weights is PyTorch's.
        known: the fields of the metrics that are the same for every kind of network.
        directory: where to write.
        on_epoch: called after each epoch. What it raises ends the training.

    Raises:
        OSError: `directory` cannot be written.
    """
    began = time.monotonic()
    network = ConvolutionalNetwork(architecture, data.training.shape, data.training.classes, trainer.batch_norm_epsilon)
    training = train(network, data, trainer, trainer.epochs, device, seed, on_epoch)
    last = training.history[-1]
    loss, accuracy = (last.loss, last.accuracy) if test is None else evaluate(network, test, data, trainer, device)
    part = "test" if test is None else "val"
    metrics = ClassifierMetrics(
        **known,
        seconds=time.monotonic() - began,
        test_accuracy=accuracy,
        test_loss=loss,
        val_accuracy=None if test is None else last.accuracy,
        mean=tuple(value / 255 for value in training.standardization.mean),
        deviation=tuple(value / 255 for value in training.standardization.deviation),
        batch_norm_epsilon=trainer.batch_norm_epsilon,
        history=[
            {"epoch": r.epoch, "train_loss": r.train_loss, f"{part}_loss": r.loss, f"{part}_accuracy": r.accuracy}
            for r in training.history
        ],
    )
    save(directory, metrics, network.state_dict())
    return metrics


def train_language_model_to_the_end(
    cell: RecurrentCell,
    data: TextDivision,
    test: Tensor,
    trainer: Trainer,
    device: torch.device,
    known: dict[str, Any],
    directory: Path,
    on_epoch: Callable[[LanguageModelEpoch], None],
) -> LanguageModelMetrics:
    """Trains a language model, and measures the weights of the epoch that was best on the validation text once.

    A small text is soon learnt by heart, so the last epoch need not be the best. Figures for the Penn Treebank are made
    in the same way.

    Args:
        cell: what to train.
        data: the training and the validation text.
        test: the test text, int64, (tokens,).
        trainer: how, and for how many epochs.
        device: where to train.
        known: the fields of the metrics that are the same for every kind of network.
        directory: where to write.
        on_epoch: called after each epoch. What it raises ends the training.

    Raises:
        TaskError: a text is too short.
        TrialFailure: the network has no finite perplexity on the test text.
        OSError: `directory` cannot be written.
    """
    began = time.monotonic()
    for role, tokens in (("training", data.training), ("validation", data.validation), ("test", test)):
        check_length(role, tokens, trainer)
    network = LanguageModelNetwork(cell, trainer.language_model, len(data.vocabulary))
    history: list[LanguageModelEpoch] = []
    best = LanguageModelEpoch(0, float("inf"), float("inf"))
    weights: dict[str, Tensor] = {}

    def keep_best(result: LanguageModelEpoch) -> None:
        nonlocal best, weights
        on_epoch(result)
        history.append(result)
        if not weights or result.loss < best.loss:
            best, weights = result, {name: value.clone() for name, value in network.state_dict().items()}

    train_language_model(network, data, trainer, trainer.epochs, device, keep_best)
    network.load_state_dict(weights)
    test_loss = evaluate_language_model(network, test, trainer, device)
    if not math.isfinite(perplexity(test_loss)):
        raise TrialFailure(FailureReason.NON_FINITE_METRIC, f"test_perplexity is {perplexity(test_loss)}")
    metrics = LanguageModelMetrics(
        **known,
        seconds=time.monotonic() - began,
        test_loss=test_loss,
        test_perplexity=perplexity(test_loss),
        val_perplexity=best.perplexity,
        best_epoch=best.epoch,
        text=data.description,
        language_model=trainer.language_model.model_dump(mode="json"),
        history=[
            {"epoch": r.epoch, "train_loss": r.train_loss, "val_loss": r.loss, "val_perplexity": r.perplexity}
            for r in history
        ],
    )
    save(directory, metrics, weights, data.vocabulary.tokens)
    return metrics
