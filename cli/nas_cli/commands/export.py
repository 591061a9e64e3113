"""`nas export`: an architecture as standalone PyTorch code, its weights, and ONNX."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_cli.commands.options import State, Trial
from nas_cli.failure import BadInput, Failure
from nas_cli.terminal import stdout

if TYPE_CHECKING:
    from nas_controller.data_shape import DataShape

    from nas_cli.results import Results


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
    state: State = None,
) -> None:
    """Write an architecture as PyTorch code that needs nothing of ours, its weights, and ONNX.

    All three are checked to give the same outputs. The weights are those of [bold]nas train[/], or random ones.

    Examples:
      [bold]nas export best -o best[/]               code, weights, ONNX in ./best

      [bold]nas export 12 -o net -s runs/digits[/]
    """
    from nas_api.architectures import ConvNet
    from rich.markup import escape

    from nas_cli.results import architecture_of, open_results

    with open_results(state) as results:
        record = results.trial(trial)
        architecture = architecture_of(record)
        if not isinstance(architecture, ConvNet):
            raise BadInput(
                f"trial {record.sampled.trial} is a {architecture.type}, and only a ConvNet can be written as PyTorch: "
                f"`nas show {record.sampled.trial} -o json` writes the architecture for your own code"
            )
        shape = _shape(images, results)
        trained = results.state.trained(record.sampled.trial)
        title = f"Trial {record.sampled.trial} of the search {results.name}, found by neural architecture search"

    from nas_cli.exporting.exported import export as write
    from nas_cli.exporting.subject import subject_of

    console = stdout()
    subject = subject_of(architecture, shape, title, trained)
    try:
        write(subject, directory, lambda text: console.print(text, markup=False))
    except OSError as error:
        raise Failure(f"cannot write to {directory}: {error}") from error
    if subject.metrics is None:
        console.print(
            f"[yellow]The weights are random[/]: the architecture has not been trained to the end. "
            f"`nas train {record.sampled.trial} -s {escape(str(results.state.path))}` does that; then export again."
        )
        pixels = "float32, channels of mean 0 and standard deviation 1"
    else:
        console.print(
            "The weights are trained: test accuracy {test_accuracy:.4f} after {epochs} epochs.".format(
                **subject.metrics
            )
        )
        pixels = "float32, pixels of 0 to 255 divided by 255"
    size = ", ".join(map(str, shape.image))
    console.print(
        f"""
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
    (scores,) = session.run(["scores"], {{"images": images}})""",
        markup=False,
    )


def _shape(text: str | None, results: "Results") -> "DataShape":
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
