"""`nas plot`: draws the course of a search, or an architecture."""

from pathlib import Path
from typing import Annotated

import typer

from nas_cli.commands.which import takes_search
from nas_cli.failure import BadInput, Failure
from nas_cli.which_search import WhichSearch, open_search

_SUFFIXES = (".png", ".svg", ".pdf")


@takes_search
def plot(
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write: .png, .svg or .pdf.")],
    trial: Annotated[
        str | None,
        typer.Option(
            "--trial",
            metavar="TRIAL",
            help="Draw the architecture of this trial, or of [bold]best[/].",
            show_default=False,
        ),
    ] = None,
    *,
    which: WhichSearch,
) -> None:
    """Draw how the rewards went, or an architecture as a graph.

    Examples:
      [bold]nas plot -o curve.png[/]                     how the search went

      [bold]nas plot --trial best -o best.svg[/]         the best architecture

      [bold]nas plot --trial 12 -o 12.png -s runs/digits[/]

      [bold]kubectl nas plot digits -o curve.png[/]      of the search digits in the cluster
    """
    check_suffix(file)
    from nas_cli.search_results import architecture_of

    with open_search(which) as results:
        if trial is not None:
            from nas_cli.drawing.architecture import draw_architecture

            record = results.trial(trial)
            reward = "" if record.reward is None else f", reward {record.reward:.4f}"
            shape = results.data_shape()
            figure = draw_architecture(
                architecture_of(record),
                f"{results.name}: trial {record.sampled.trial}{reward}",
                shape.image if shape else None,
                shape.classes if shape else None,
            )
        else:
            from nas_cli.drawing.curve import draw_curve

            finished = results.finished()
            if not finished:
                raise BadInput(f"no trial of {results.name} has finished yet: there is nothing to draw")
            best = max((r.reward for r in finished if r.reward is not None), default=0.0)
            figure = draw_curve(
                f"{results.name}: best reward {best:.4f} after {len(finished)} trials", finished, results.updates()
            )
    try:
        figure.savefig(file)
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from error
    typer.echo(f"wrote {file}")


def check_suffix(file: Path) -> None:
    """Sees that the name of a picture says of what kind it is.

    Raises:
        BadInput: it does not.
    """
    if file.suffix.lower() not in _SUFFIXES:
        raise BadInput(
            f"cannot tell from {file} what kind of picture to write: its name should end in {', '.join(_SUFFIXES)}"
        )
