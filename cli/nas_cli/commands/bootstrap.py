"""`nas bootstrap`: prints the best architectures of a search for the manifest of another one."""

import sys
from typing import Annotated

import typer

from nas_cli.commands.which import takes_search
from nas_cli.which_search import WhichSearch, open_search


@takes_search
def bootstrap(
    which: WhichSearch,
    top: Annotated[int, typer.Option("--top", min=1, max=64, metavar="K", help="How many architectures.")] = 5,
) -> None:
    """Print the best architectures of a search as a section of a manifest.

    A search with this section trains them first, fits its policy to them and
    goes on from there. [bold]nas run --warm-start DIR[/] does the same on this machine.

    Examples:
      [bold]nas bootstrap -s runs/digits --top 3[/]               to paste below spec:

      [bold]nas show 12 -o yaml[/]                                of one trial, whatever its reward

      [bold]kubectl nas bootstrap digits[/]                       of the search digits in the cluster
    """
    import yaml

    from nas_cli.bootstrap import best_architectures

    with open_search(which) as results:
        section = {"controller": {"bootstrap": {"architectures": best_architectures(results, top)}}}
    yaml.dump(section, sys.stdout, Dumper=yaml.CSafeDumper, sort_keys=False, default_flow_style=None, width=120)
