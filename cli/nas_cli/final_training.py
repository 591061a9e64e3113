"""Trains the architecture of a trial to the end, as the paper does with the best one (section 4.1)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import Architecture, ConvNet, RecurrentCell
from nas_api.spec import NASSearch
from nas_child.data.cache import default_cache
from nas_child.data.division import load_final_data
from nas_child.data.text_division import load_search_text, load_test_text
from nas_child.final_training import train_classifier_to_the_end, train_language_model_to_the_end
from nas_child.task import TrialFailure
from nas_child.trained import Metrics
from nas_child.training import EpochResult, LanguageModelEpoch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nas_cli.failure import BadInput, Failure
from nas_cli.running.placement import count_cores

Show = Callable[[int, float, str], None]
"""Tells of an epoch: its number, its training loss, and what was measured after it, in words."""


def train_to_the_end(
    search: NASSearch,
    trial: int,
    architecture: Architecture,
    epochs: int,
    device: str,
    directory: Path,
    console: Console,
) -> Metrics:
    """Trains, measures on the test set, and writes weights and metrics to `directory`.

    Args:
        search: the manifest: data and trainer.
        trial: number of the trial.
        architecture: its architecture, of a kind that a built-in task trains.
        epochs: of training.
        device: `auto`, `cpu` or `cuda`.
        directory: where to write, see `nas_child.trained`.
        console: where to show the progress.

    Raises:
        BadInput: a GPU is asked for and there is none.
        TaskError: the data cannot be read.
        Failure: the training diverged.
        OSError: `directory` cannot be written.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: PyTorch sees no GPU here. See `nvidia-smi`, or use --device cpu")
    place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(count_cores())
    torch.manual_seed(search.spec.seed)
    known: dict[str, Any] = {
        "search": search.full_name,
        "trial": trial,
        "digest": architecture.digest,
        "epochs": epochs,
        "device": torch.cuda.get_device_name() if place.type == "cuda" else "cpu",
    }
    with _progress(console, trial, epochs) as show:
        match architecture:
            case ConvNet():
                return _train_classifier(search, architecture, place, directory, known, show)
            case RecurrentCell():
                return _train_language_model(search, architecture, place, directory, known, show)
    raise BadInput(
        f"trial {trial} is a {architecture.type}, which no built-in task trains: train it with your own code"
    )


@contextmanager
def _progress(console: Console, trial: int, epochs: int) -> Iterator[Show]:
    """Shows a bar on a terminal, else ten lines. The training ends if it has diverged."""
    columns = (
        TextColumn("trial {task.fields[trial]}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
        TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=epochs, trial=trial)

        def show(epoch: int, train_loss: float, measured: str) -> None:
            if not math.isfinite(train_loss):
                raise Failure(
                    f"the training of trial {trial} diverged in epoch {epoch}: its loss is {train_loss}. "
                    "Try a lower learning rate, with --set spec.trainer.optimizer.learningRate=..."
                )
            text = f"train loss {train_loss:.4f}, {measured}"
            progress.update(bar, advance=1, description=text)
            if not console.is_terminal and (epoch % max(1, epochs // 10) == 0 or epoch == epochs):
                console.print(f"epoch {epoch}/{epochs}: {text}")

        yield show


def _train_classifier(
    search: NASSearch, architecture: ConvNet, place: torch.device, directory: Path, known: dict[str, Any], show: Show
) -> Metrics:
    """On the whole training set. Validation samples are no longer needed: the last weights count."""
    data = load_final_data(search.spec.trainer.dataset, default_cache())
    trainer = search.spec.trainer.model_copy(update={"epochs": known["epochs"]})

    def on_epoch(result: EpochResult) -> None:
        measured = f"test loss {result.loss:.4f}, test accuracy {result.accuracy:.4f}"
        show(result.epoch, result.train_loss, measured)

    return train_classifier_to_the_end(
        architecture, data, None, trainer, place, search.spec.seed, known, directory, on_epoch
    )


def _train_language_model(
    search: NASSearch, cell: RecurrentCell, place: torch.device, directory: Path, known: dict[str, Any], show: Show
) -> Metrics:
    """The epoch that is best on the validation text counts."""
    trainer = search.spec.trainer.model_copy(update={"epochs": known["epochs"]})
    data = load_search_text(trainer.dataset, trainer.language_model, default_cache())
    test = load_test_text(trainer.dataset, trainer.language_model, default_cache(), data.vocabulary)

    def on_epoch(result: LanguageModelEpoch) -> None:
        show(result.epoch, result.train_loss, f"validation perplexity {result.perplexity:.2f}")

    try:
        return train_language_model_to_the_end(cell, data, test, trainer, place, known, directory, on_epoch)
    except TrialFailure as failure:
        raise Failure(
            f"trial {known['trial']} has no finite perplexity on the test text. Try a lower learning rate, with "
            "--set spec.trainer.optimizer.learningRate=..."
        ) from failure
