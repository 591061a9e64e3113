"""Trains a recurrent cell to the end, as a language model (paper, section 4.2)."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import RecurrentCell
from nas_api.spec import NASSearch
from nas_child.data.cache import default_cache
from nas_child.data.text_division import load_search_text, load_test_text
from nas_child.network import LanguageModelNetwork
from nas_child.training import LanguageModelEpoch, evaluate_language_model, train_language_model
from nas_child.training.language_model import check_length, perplexity

from nas_cli.failure import Failure
from nas_child.trained import LanguageModelMetrics, save


def train_final_language_model(
    search: NASSearch,
    cell: RecurrentCell,
    place: torch.device,
    directory: Path,
    known: dict[str, Any],
    show: Callable[[int, float, str], None],
) -> LanguageModelMetrics:
    """Trains on the training text, and measures the weights of the epoch that was best on the validation text once.

    A small text is soon learnt by heart, so the last epoch need not be the best. Figures for the Penn Treebank are made
    in the same way.

    Args:
        search: the manifest: data and trainer.
        cell: what to train.
        place: where to train.
        directory: where to write, see `nas_child.trained`.
        known: the fields of the metrics that are the same for every kind of network, `epochs` among them.
        show: tells of an epoch. It raises if the training loss is not finite.

    Raises:
        TaskError: the data cannot be read.
        Failure: the network has no finite perplexity.
        OSError: `directory` cannot be written.
    """
    began = time.monotonic()
    trainer = search.spec.trainer
    data = load_search_text(trainer.dataset, trainer.language_model, default_cache())
    test = load_test_text(trainer.dataset, trainer.language_model, default_cache(), data.vocabulary)
    for role, tokens in (("training", data.training), ("validation", data.validation), ("test", test)):
        check_length(role, tokens, trainer)
    network = LanguageModelNetwork(cell, trainer.language_model, len(data.vocabulary))
    history: list[LanguageModelEpoch] = []
    best = LanguageModelEpoch(0, float("inf"), float("inf"))
    weights: dict[str, torch.Tensor] = {}

    def on_epoch(result: LanguageModelEpoch) -> None:
        nonlocal best, weights
        show(result.epoch, result.train_loss, f"validation perplexity {result.perplexity:.2f}")
        history.append(result)
        if not weights or result.loss < best.loss:
            best, weights = result, {name: value.clone() for name, value in network.state_dict().items()}

    train_language_model(network, data, trainer, known["epochs"], place, on_epoch)
    network.load_state_dict(weights)
    test_loss = evaluate_language_model(network, test, trainer, place)
    if not math.isfinite(perplexity(test_loss)):
        raise Failure(
            f"trial {known['trial']} has no finite perplexity on the test text. Try a lower learning rate, with "
            "--set spec.trainer.optimizer.learningRate=..."
        )
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
