"""`nas watch`: the live view of a search that runs elsewhere."""

from typing import Annotated

import typer

from nas_cli.commands.which import takes_search
from nas_cli.failure import FAILED
from nas_cli.terminal import stdout
from nas_cli.which_search import WhichSearch

_INTERRUPTED = 130


@takes_search
def watch(
    *,
    live: Annotated[
        bool,
        typer.Option(
            "--live/--no-live",
            help="Live view, or a line for each trial. Default: live on a terminal.",
            show_default=False,
        ),
    ] = True,
    which: WhichSearch,
) -> None:
    """Watch a search until it has ended: the live view of [bold]nas run[/], for a search that runs elsewhere.

    Examples:
      [bold]kubectl nas watch digits[/]              in the cluster

      [bold]kubectl nas watch digits --no-live[/]    a line for each trial, for logs and pipes

      [bold]nas watch -s runs/digits[/]              of a [bold]nas run[/] in another terminal
    """
    from nas_api.rpc import trials_pb2 as pb

    from nas_cli.running.live_view import LiveView
    from nas_cli.running.plain_view import PlainView
    from nas_cli.running.watching import open_watched
    from nas_cli.running.watching import watch as watch_until_its_end

    console = stdout()
    try:
        with open_watched(which) as watched:
            advice = "Ctrl-C ends this view, and not the search"
            search, where = watched.results.search, watched.where
            is_live = live and console.is_terminal
            view = LiveView(search, where, console, advice) if is_live else PlainView(search, where, console)
            summary = watch_until_its_end(watched, view)
            arguments = watched.results.arguments
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    ended = "has ended" if summary.state == pb.Summary.SUCCEEDED else "has failed"
    console.print(f"{search.metadata.name} {ended}: {summary.message}", markup=False)
    console.print(f"`nas best {arguments}` shows what it has found", markup=False)
    raise typer.Exit(0 if summary.state == pb.Summary.SUCCEEDED else FAILED)
