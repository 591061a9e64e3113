"""`nas report`: a search as one page of HTML."""

import time
from pathlib import Path
from typing import Annotated

import typer

from nas_cli.commands.which import takes_search
from nas_cli.failure import BadInput, Failure
from nas_cli.terminal import stderr
from nas_cli.which_search import WhichSearch, open_search

_SUFFIXES = (".html", ".htm")


@takes_search
def report(
    which: WhichSearch,
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Page to write: .html.")],
    top: Annotated[int, typer.Option("--top", min=0, max=20, metavar="N", help="Best architectures to draw.")] = 3,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            metavar="POOL=PRICE",
            help="What a worker of a pool costs in an hour. May be repeated.",
            show_default=False,
        ),
    ] = None,
    currency: Annotated[str, typer.Option("--currency", help="Of the prices.")] = "EUR",
) -> None:
    """Write a page that tells all of a search, while it runs or afterwards.

    One file that needs no network, for a browser, a phone, a mail or paper: how
    the rewards went and how far ahead of the random twin, the policy, the best
    architectures, what a higher reward costs in parameters and in time, what
    the workers did, what was saved, final trainings, and the manifest.

    Examples:
      [bold]nas report -o report.html[/]                     of the only search in ./runs

      [bold]nas report -o report.html -s runs/digits --top 6[/]

      [bold]nas report -o report.html --price gpu=2.50 --price spot=0.80[/]    what it cost

      [bold]kubectl nas report digits -o report.html[/]      of the search digits in the cluster
    """
    if file.suffix.lower() not in _SUFFIXES:
        raise BadInput(f"{file} is to be a page of HTML: its name should end in {' or '.join(_SUFFIXES)}")
    if file.parent != Path() and not file.parent.is_dir():
        raise BadInput(f"cannot write {file}: there is no folder {file.parent}")
    from nas_cli.reporting.page import render
    from nas_cli.reporting.prices import parse_prices, pool_names
    from nas_cli.reporting.reading import read_material

    def warn(text: str) -> None:
        stderr().print(f"warning: {text}", style="yellow", markup=False)

    with open_search(which) as results:
        material = read_material(results, top, time.time(), warn)
    prices = parse_prices(price or [], pool_names(material))
    page = render(material, prices, currency)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from error
    typer.echo(f"wrote {file}")
