"""`nas`: the commands, each in a module of its own.

Nothing heavy (torch, matplotlib, gRPC) is imported before a command needs it, so that `nas --help` and shell completion
answer at once.
"""

from typing import Annotated

import typer

from nas_cli.commands import (
    best,
    bootstrap,
    compare,
    export,
    get,
    logs,
    pause,
    plot,
    preflight,
    report,
    run,
    scale,
    show,
    train,
    trials,
    validate,
    watch,
)
from nas_cli.failure import CommandGroup
from nas_cli.which_search import KUBECTL

app = typer.Typer(
    name="nas",
    cls=CommandGroup,
    help="Neural architecture search with reinforcement learning.",
    epilog="Start with [bold]nas run FILE[/], then try [bold]nas best[/], [bold]nas plot[/] and [bold]nas export[/].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("watch")(watch.watch)
app.command("validate")(validate.validate)
app.command("trials")(trials.trials)
app.command("best")(best.best)
app.command("show")(show.show)
app.command("plot")(plot.plot)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("bootstrap")(bootstrap.bootstrap)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("logs")(logs.logs)
app.command("get")(get.get)
app.command("preflight")(preflight.preflight)
app.command("pause")(pause.pause)
app.command("resume")(pause.resume)
app.command("scale")(scale.scale)


def kubectl_plugin() -> None:
    """`kubectl nas`: the same program. kubectl finds `kubectl-nas` on the PATH."""
    app(prog_name=KUBECTL, complete_var="_KUBECTL_NAS_COMPLETE")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"nas {version('kubenas')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Neural architecture search with reinforcement learning."""
