"""`nas train`: trains an architecture to the end and measures it on the test set."""

from typing import Annotated

import typer

from nas_cli.commands.options import Device, Overrides, State, Trial
from nas_cli.failure import BadInput, Failure
from nas_cli.terminal import stdout


def train(
    trial: Trial,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", "-e", min=1, help="Default: four times those of the search, at least 30.", show_default=False
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    overrides: Overrides = None,
    state: State = None,
) -> None:
    """Train an architecture to the end, and report its accuracy or its perplexity on the test set.

    Images: training and validation samples are both trained on. Language: the epoch that is best on the validation
    text counts.

    The test set is read here for the first time: nothing was chosen by it.
    Weights and metrics are kept for [bold]nas export[/].

    Examples:
      [bold]nas train best --epochs 100[/]

      [bold]nas train 12 --set spec.trainer.optimizer.learningRate=0.05 -s runs/digits[/]
    """
    from nas_api.architectures import ConvNet
    from rich.markup import escape

    from nas_cli.final_training import train_to_the_end
    from nas_cli.manifest import read_manifest
    from nas_cli.results import open_results
    from nas_cli.search_results import architecture_of
    from nas_cli.wording import duration

    with open_results(state) as results:
        record = results.trial(trial)
        directory = results.state
    search = read_manifest(directory.manifest, overrides)
    trainer = search.spec.trainer
    architecture = architecture_of(record)
    if trainer.is_user_task:
        writes = (
            "`nas export` writes it as PyTorch"
            if isinstance(architecture, ConvNet)
            else "`nas show -o json` writes it for that"
        )
        raise BadInput(
            f"trial {record.sampled.trial} was trained by your own task {trainer.task}: train its architecture "
            f"with your own code. {writes}"
        )
    import torch
    from nas_child.task import TaskError

    console = stdout()
    target = directory.trained(record.sampled.trial)
    epochs = epochs or max(30, 4 * trainer.epochs)
    try:
        metrics = train_to_the_end(search, record.sampled.trial, architecture, epochs, device.value, target, console)
    except TaskError as error:
        raise BadInput(str(error)) from error
    except torch.OutOfMemoryError as error:
        raise Failure(
            f"the GPU has too little memory: try --set spec.trainer.batchSize={trainer.batch_size // 2}"
        ) from error
    except OSError as error:
        raise Failure(f"cannot write to {target}: {error}") from error
    console.print(
        f"[bold green]{metrics.result}[/] after {epochs} epochs "
        f"({duration(metrics.seconds)} on {metrics.device})\nweights and metrics are in {escape(str(target))}",
    )
