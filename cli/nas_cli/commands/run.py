"""`nas run`: runs a search on this machine."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nas_cli.commands.options import Device, Manifest, Overrides
from nas_cli.failure import FAILED, Failure
from nas_cli.terminal import stderr, stdout


def run(
    file: Manifest,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", "-s", metavar="DIR", help="Where to keep everything. Default: ./runs/NAME.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            max=1024,
            metavar="N",
            help="Default: one for each GPU, or for each core.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    overrides: Overrides = None,
    warm_start: Annotated[
        Path | None,
        typer.Option(
            "--warm-start",
            metavar="DIR",
            help="Begin with the best architectures of an earlier search, by its state directory.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=64, metavar="K", help="With --warm-start: how many of them.")
    ] = 5,
    twin: Annotated[
        bool,
        typer.Option(
            "--random-twin",
            help="Run its random twin instead: the same search, proposing at random, in DIR-random.",
        ),
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="HOST:PORT",
            help="Serve Prometheus metrics there, such as 127.0.0.1:9464, or :9464 on all addresses.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live/--no-live",
            help="Live view, or a line for each trial. Default: live on a terminal.",
            show_default=False,
        ),
    ] = True,
) -> None:
    """Run a search on this machine: a controller, and a worker for each GPU or core.

    The search keeps everything in its state directory. Run the same command
    again to go on with it after Ctrl-C or a crash.

    Examples:
      [bold]nas run search.yaml[/]                           in ./runs/NAME

      [bold]nas run search.yaml --workers 4 --device cpu[/]

      [bold]nas run search.yaml --set spec.seed=7[/]         with another seed

      [bold]nas run search.yaml --set spec.budget.maxTrials=200[/]    go further

      [bold]nas run search.yaml --warm-start runs/before[/]  begin with its best

      [bold]nas run search.yaml --metrics 127.0.0.1:9464[/]  for a Prometheus

      [bold]nas run search.yaml --random-twin[/]             the control experiment,

      [bold]nas compare runs/NAME-random runs/NAME[/]        and what it tells
    """
    from nas_api.tracing import problem

    from nas_cli.bootstrap import warm_started
    from nas_cli.manifest import read_manifest
    from nas_cli.random_twin import random_twin, twin_directory
    from nas_cli.running.driving import drive
    from nas_cli.running.live_view import LiveView
    from nas_cli.running.local_run import LocalRun
    from nas_cli.running.placement import place_workers
    from nas_cli.running.plain_view import PlainView
    from nas_cli.running.preparation import prepare
    from nas_cli.running.report import print_report
    from nas_cli.state_directory import RUNS, StateDirectory

    search = read_manifest(file, overrides)
    placements = place_workers(search.spec.pools, device.value, workers)
    path = state or RUNS / search.metadata.name
    if twin:
        search, path = random_twin(search), twin_directory(path)
    directory = StateDirectory(path)
    command = ["nas", *sys.argv[1:]]
    console = stdout()
    with directory.locked() as lock:
        search = warm_started(search, directory, warm_start, top)
        if prepare(directory, search):
            print_report(directory, console, command)
            return
        if no_traces := problem():
            stderr().print(f"warning: {no_traces}", style="yellow", markup=False)
        local_run = LocalRun(directory, placements, lock, metrics)
        view = (LiveView if live and console.is_terminal else PlainView)(search, str(directory.path), console)
        status = drive(local_run, view, directory)
    if local_run.failure:
        raise Failure(local_run.failure, local_run.exit_code)
    verdict = print_report(directory, console, command, view.elapsed())
    raise typer.Exit(status or (FAILED if verdict is not None and verdict.state == "FAILED" else 0))
