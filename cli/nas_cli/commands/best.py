"""`nas best`: the best architecture of a search so far."""

from typing import Annotated

import typer

from nas_cli.commands.options import DocumentOutput
from nas_cli.commands.which import takes_search
from nas_cli.which_search import WhichSearch, open_search


@takes_search
def best(
    which: WhichSearch,
    output: Annotated[DocumentOutput, typer.Option("--output", "-o", help="How to write it.")] = DocumentOutput.TABLE,
) -> None:
    """Show the trial with the highest reward so far: of its final training (spec.finalTraining), once there is one.

    Examples:
      [bold]nas best[/]                              of the only search in ./runs

      [bold]nas best -s runs/digits -o json[/]       for a program

      [bold]kubectl nas best digits[/]               of the search digits in the cluster
    """
    from nas_cli.writing import write_trial

    with open_search(which) as results:
        write_trial(results.trial("best"), results, output)
