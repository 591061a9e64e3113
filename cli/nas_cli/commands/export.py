"""`nas export`: an architecture as standalone PyTorch code, its weights, and ONNX."""

import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_cli.commands.options import Trial
from nas_cli.commands.which import takes_search
from nas_cli.failure import BadInput, Failure
from nas_cli.terminal import stdout
from nas_cli.which_search import WhichSearch, open_search

if TYPE_CHECKING:
    from nas_api.architectures import ConvNet, RecurrentCell
    from nas_api.spec import Trainer
    from nas_controller.data_shape import DataShape

    from nas_cli.search_results import SearchResults


@takes_search
def export(
    trial: Trial,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.", show_default=False)
    ],
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="CxHxW/CLASSES",
            help="Shape of images and number of classes, as in [bold]3x32x32/10[/]: for a task of your own.",
            show_default=False,
        ),
    ] = None,
    *,
    which: WhichSearch,
) -> None:
    """Write an architecture as PyTorch code that needs nothing of ours, its weights, and ONNX (of a ConvNet).

    All are checked to give the same outputs. The weights are those of [bold]nas train[/], else of the final training of
    the search (spec.finalTraining), or random ones. Of a task of your own: the files that its final training has left.

    Examples:
      [bold]nas export best -o best[/]               code, weights, ONNX in ./best

      [bold]nas export 12 -o net -s runs/digits[/]

      [bold]kubectl nas export best digits -o best[/]   of the search digits in the cluster: code, and random weights
    """
    from nas_api.architectures import ConvNet, RecurrentCell
    from nas_child.task import TaskError
    from nas_child.trained import load_metrics
    from rich.markup import escape

    from nas_cli.search_results import architecture_of

    with ExitStack() as stack:
        results = stack.enter_context(open_search(which))
        record = results.trial(trial)
        trained = stack.enter_context(results.trained(record.sampled.trial))
        kept = stack.enter_context(results.kept_files(record.sampled.trial))
        title = f"Trial {record.sampled.trial} of the search {results.name}, found by neural architecture search"
        trainer = results.search.spec.trainer
        architecture = architecture_of(record)
        # Of a task of one's own there may be files without a shape of images.
        needs_shape = isinstance(architecture, ConvNet) and (images is not None or kept is None)
        shape = _shape(images, results) if needs_shape else None
        again = escape(results.how_to_train(record.sampled.trial))

        console = stdout()
        tell = partial(console.print, markup=False)
        try:
            match architecture:
                case ConvNet() if shape is not None:
                    usage = _export_classifier(architecture, shape, title, trained, directory, tell)
                case RecurrentCell() if not trainer.is_user_task:
                    usage = _export_language_model(architecture, trainer, title, trained, directory, tell)
                case _:
                    if kept is None:
                        raise BadInput(
                            f"trial {record.sampled.trial} is a {architecture.type} that your own task {trainer.task} "
                            f"builds: `nas show {record.sampled.trial} -o json` writes the architecture for your own "
                            "code"
                        )
                    usage = ""
            if kept is not None:
                shutil.copytree(kept, directory / "final", dirs_exist_ok=True)
                tell(f"{directory / 'final'} has what the final training has left")
        except TaskError as error:
            raise BadInput(str(error)) from error
        except OSError as error:
            raise Failure(f"cannot write to {directory}: {error}") from error
        if usage and load_metrics(trained) is None:
            console.print(
                f"[yellow]The weights are random[/]: the architecture has not been trained to the end. {again}"
            )
        console.print(usage, markup=False)


def _export_classifier(
    network: "ConvNet", shape: "DataShape", title: str, trained: Path, directory: Path, tell: Callable[[str], None]
) -> str:
    """Writes a ConvNet. Returns what to do with it."""
    from nas_cli.exporting.exported import export as write
    from nas_cli.exporting.subject import subject_of

    subject = subject_of(network, shape, title, trained)
    write(subject, directory, tell)
    pixels = "float32, channels of mean 0 and standard deviation 1"
    if subject.metrics is not None:
        tell(
            "The weights are trained: test accuracy {test_accuracy:.4f} after {epochs} epochs.".format(
                **subject.metrics
            )
        )
        pixels = "float32, pixels of 0 to 255 divided by 255"
    size = ", ".join(map(str, shape.image))
    return f"""
Use it from {directory}, in PyTorch:

    from model import Network
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file("model.safetensors"))
    network.eval()
    scores = network(images)  # (batch, {size}), {pixels}

or anywhere else:

    import onnxruntime

    session = onnxruntime.InferenceSession("model.onnx")
    (scores,) = session.run(["scores"], {{"images": images}})"""


def _export_language_model(
    cell: "RecurrentCell", trainer: "Trainer", title: str, trained: Path, directory: Path, tell: Callable[[str], None]
) -> str:
    """Writes a language model. Returns what to do with it."""
    from nas_cli.exporting.language_model import export_language_model

    metrics = export_language_model(cell, trainer, title, trained, directory, tell)
    if metrics is not None:
        tell(
            "The weights are trained: test perplexity {test_perplexity:.2f} after {best_epoch} epochs.".format(
                **metrics
            )
        )
    return f"""
Use it from {directory}, in PyTorch:

    from model import Network
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file("model.safetensors"))
    network.eval()
    scores, state = network(tokens)  # int64, (steps, batch), numbers in vocabulary.json
    scores, state = network(tokens_that_follow, state)

It is written step by step, so that there is no ONNX of it. `python model.py text.txt` learns a text from the start."""


def _shape(text: str | None, results: "SearchResults") -> "DataShape":
    from nas_api.architectures import ImageShape
    from nas_controller.data_shape import DataShape

    if text is not None:
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)/([1-9]\d*)", text)
        if match is None:
            raise BadInput(f"--images {text}: write channels, height, width and classes as in 3x32x32/10")
        channels, height, width, classes = map(int, match.groups())
        return DataShape(ImageShape(channels, height, width), classes)
    shape = results.data_shape()
    if shape is None:
        raise BadInput(f"{results.name} knows no shape of its images: give it, as in --images 3x32x32/10")
    return shape
