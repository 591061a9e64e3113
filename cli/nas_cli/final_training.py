"""Trains the architecture of a trial to the end, as the paper does with the best one (section 4.1)."""

import math
import time
from pathlib import Path

import torch
from nas_api.architectures import ConvNet
from nas_api.spec import NASSearch
from nas_child.data.cache import default_cache
from nas_child.data.division import load_final_data
from nas_child.network import ConvolutionalNetwork
from nas_child.training import EpochResult, train
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nas_cli.failure import BadInput, Failure
from nas_cli.running.placement import count_cores
from nas_cli.trained import Metrics, save


def train_to_the_end(
    search: NASSearch,
    trial: int,
    architecture: ConvNet,
    epochs: int,
    device: str,
    directory: Path,
    console: Console,
) -> Metrics:
    """Trains on the whole training set, measures on the test set, and writes weights and metrics to `directory`.

    Args:
        search: the manifest: data and trainer.
        trial: number of the trial.
        architecture: its architecture.
        epochs: of training.
        device: `auto`, `cpu` or `cuda`.
        directory: where to write, see `nas_cli.trained`.
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
    data = load_final_data(search.spec.trainer.dataset, default_cache())
    torch.manual_seed(search.spec.seed)
    network = ConvolutionalNetwork(architecture, data.training.shape, data.training.classes)
    columns = (
        TextColumn("trial {task.fields[trial]}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
        TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=epochs, trial=trial)

        def show(result: EpochResult) -> None:
            if not math.isfinite(result.train_loss):
                raise Failure(
                    f"the training of trial {trial} diverged in epoch {result.epoch}: its loss is {result.train_loss}. "
                    "Try a lower learning rate, with --set spec.trainer.optimizer.learningRate=..."
                )
            progress.update(
                bar, advance=1, description=f"train loss {result.train_loss:.4f}, test accuracy {result.accuracy:.4f}"
            )
            if not console.is_terminal and (result.epoch % max(1, epochs // 10) == 0 or result.epoch == epochs):
                console.print(
                    f"epoch {result.epoch}/{epochs}: train loss {result.train_loss:.4f}, test loss {result.loss:.4f}, "
                    f"test accuracy {result.accuracy:.4f}"
                )

        training = train(network, data, search.spec.trainer, epochs, place, search.spec.seed, show)
    last = training.history[-1]
    metrics = Metrics(
        search=search.full_name,
        trial=trial,
        digest=architecture.digest,
        epochs=epochs,
        test_accuracy=last.accuracy,
        test_loss=last.loss,
        seconds=time.monotonic() - began,
        device=torch.cuda.get_device_name() if place.type == "cuda" else "cpu",
        mean=tuple(value / 255 for value in training.standardization.mean),
        deviation=tuple(value / 255 for value in training.standardization.deviation),
        history=[
            {"epoch": r.epoch, "train_loss": r.train_loss, "test_loss": r.loss, "test_accuracy": r.accuracy}
            for r in training.history
        ],
    )
    save(directory, metrics, {name: value.cpu().contiguous() for name, value in network.state_dict().items()})
    return metrics
