"""`nas show`: everything about one trial."""

from typing import Annotated

import typer

from nas_cli.commands.options import DocumentOutput, State, Trial


def show(
    trial: Trial,
    state: State = None,
    output: Annotated[DocumentOutput, typer.Option("--output", "-o", help="How to write it.")] = DocumentOutput.TABLE,
) -> None:
    """Show one trial: its architecture layer by layer, what was measured, and what went wrong.

    Examples:
      [bold]nas show 12[/]                           trial 12 of the only search in ./runs

      [bold]nas show best -s runs/digits[/]          the best one

      [bold]nas show 12 -o yaml[/]                   for a program
    """
    from nas_cli.results import open_results
    from nas_cli.writing import write_trial

    with open_results(state) as results:
        write_trial(results.trial(trial), results, output)
