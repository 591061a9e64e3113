"""`nas trials`: lists the trials of a search."""

from typing import Annotated

import typer

from nas_cli.commands.options import Output
from nas_cli.commands.which import takes_search
from nas_cli.which_search import WhichSearch, open_search


@takes_search
def trials(
    which: WhichSearch,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to write them.")] = Output.TABLE,
    limit: Annotated[
        int | None, typer.Option("--limit", "-l", min=1, help="At most so many, the newest.", show_default=False)
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Those that succeeded, highest reward first.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed, with the reason.")] = False,
) -> None:
    """List the trials of a search, while it runs or afterwards.

    Examples:
      [bold]nas trials[/]                            the trials of the only search in ./runs

      [bold]nas trials --best --limit 10[/]          the ten best

      [bold]nas trials --failed -s runs/digits[/]    what failed, and why

      [bold]nas trials -o csv > trials.csv[/]        everything, for a spreadsheet or pandas

      [bold]kubectl nas trials digits[/]             of the search digits in the cluster
    """
    from nas_cli.writing import write_trials

    with open_search(which) as results:
        if best:
            records = results.best(limit or 1_000_000)
        elif failed:
            records = results.failed(limit)
        else:
            records = results.trials(limit)
        write_trials(records, results.search, output)
