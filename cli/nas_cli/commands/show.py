"""`nas show`: everything about one trial."""

from typing import Annotated

import typer

from nas_cli.commands.options import DocumentOutput, Trial
from nas_cli.commands.which import takes_search
from nas_cli.which_search import WhichSearch, open_search


@takes_search
def show(
    trial: Trial,
    which: WhichSearch,
    output: Annotated[DocumentOutput, typer.Option("--output", "-o", help="How to write it.")] = DocumentOutput.TABLE,
) -> None:
    """Show one trial: its architecture layer by layer, what was measured, and what went wrong.

    Examples:
      [bold]nas show 12[/]                           trial 12 of the only search in ./runs

      [bold]nas show best -s runs/digits[/]          the best one

      [bold]nas show 12 -o yaml[/]                   for a program

      [bold]kubectl nas show 12 digits[/]            trial 12 of the search digits in the cluster
    """
    from nas_cli.writing import write_trial

    with open_search(which) as results:
        write_trial(results.trial(trial), results, output)
