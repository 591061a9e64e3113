"""`nas compare`: which of several searches found better architectures in the same number of trials."""

from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.commands.which import called_by_kubectl, takes_cluster
from nas_cli.completion import complete_search
from nas_cli.failure import Failure
from nas_cli.terminal import stderr
from nas_cli.which_search import WhichSearch, open_search

if TYPE_CHECKING:
    from nas_cli.search_results import SearchResults


class ComparisonOutput(StrEnum):
    """How a comparison is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@takes_cluster
def compare(
    groups: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SEARCH[,SEARCH...] ...",
            help="State directories, or names of searches in a cluster. Those of one group are the same search with "
            "different seeds.",
            show_default=False,
            autocompletion=complete_search,
        ),
    ],
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            min=1,
            metavar="N",
            help="Compare every N trials. Default: 400, as in the paper, or what fits.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    output: Annotated[
        ComparisonOutput, typer.Option("--output", "-o", help="How to write it.")
    ] = ComparisonOutput.TABLE,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw it too: .png, .svg or .pdf.", show_default=False),
    ] = None,
    *,
    called: typer.Context,
    cluster: ClusterOptions,
) -> None:
    """Compare searches after the same numbers of trials, while they run or afterwards.

    Shows the best reward, and the means of the 5 and of the 15 best
    architectures (an architecture counts once), of each group, and the
    differences from the first group, with confidence intervals when a group
    has several searches (Student's t; Welch's for differences).

    Examples:
      [bold]nas compare runs/digits-random runs/digits[/]        how far ahead of its random twin a search is

      [bold]nas compare random=r1,r2,r3 ours=o1,o2,o3 --plot compare.png[/]

      [bold]nas compare base4=runs/b4 base8=runs/b8 --every 400 -o csv > compare.csv[/]

      [bold]kubectl nas compare digits-random digits[/]          searches in the cluster
    """  # fmt: skip
    from nas_cli.commands.plot import check_suffix
    from nas_cli.comparing.comparison import choose_trials
    from nas_cli.comparing.comparison import compare as compare_groups
    from nas_cli.comparing.reading import incomparable, read_groups
    from nas_cli.comparing.writing import write_comparison

    if plot is not None:
        check_suffix(plot)
    in_kubectl = called_by_kubectl(called)

    def open_one(member: str) -> AbstractContextManager["SearchResults"]:
        in_cluster = (in_kubectl or cluster.given) and not Path(member).is_dir()
        name, state = (member, None) if in_cluster else (None, Path(member))
        return open_search(WhichSearch(name, state, cluster if in_cluster else ClusterOptions(), in_kubectl))

    read, searches = read_groups(groups, open_one)
    for problem in incomparable(searches):
        stderr().print(f"warning: {problem}", style="yellow")
    comparison = compare_groups(read, confidence)
    write_comparison(comparison, choose_trials(comparison.trials, every), output.value)
    if plot is not None:
        from nas_cli.drawing.comparison import draw_comparison

        try:
            draw_comparison(comparison).savefig(plot)
        except OSError as error:
            raise Failure(f"cannot write {plot}: {error.strerror}") from error
