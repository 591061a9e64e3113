"""The command line of `search_quality.py`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tabular_benchmark.contestants import Contestant, ContestantError, parse_contestant
from tabular_benchmark.drawing import draw_regret
from tabular_benchmark.figures import figures_of
from tabular_benchmark.runs import SearchFailedError, Setting, run_searches
from tabular_benchmark.simulation import Run
from tabular_benchmark.statistics import Scale
from tabular_benchmark.table import Table, TableError, read_table
from tabular_benchmark.training_seconds import NAS_BENCH_201, training_seconds
from tabular_benchmark.writing import markdown, terminal_tables

_BUDGETS = (50, 100, 150, 200, 300, 500, 1000)
_WIDTH = 160  # characters of a table at least
_PICTURES = (".png", ".svg", ".pdf")
_FORMATS = ("table", "json", "markdown")
_Results = dict[str, Any]


class CommandError(Exception):
    """The command was asked for what cannot be; the message says what to change."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark, or renders the results of a former one."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _check_files(options)
        results = _measure(options) if options.render is None else json.loads(options.render.read_text())
        _write(results, options)
    except (CommandError, ContestantError, SearchFailedError, TableError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"\ninterrupted: the searches that have ended are kept in {options.cache}\n")


def _parser() -> argparse.ArgumentParser:
    import __main__

    parser = argparse.ArgumentParser(
        prog="search_quality.py",
        description=__main__.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--table", type=Path, metavar="CSV", help="the table, compressed with gzip or not")
    add("--objective", metavar="COLUMN", help="what a search sees of an architecture, such as validation accuracy")
    add("--report", metavar="COLUMN",
        help="what it does not see, such as test accuracy; empty cells are left out of its mean (default: the "
        "objective)")  # fmt: skip
    add("--algorithms", nargs="+", metavar="ALGORITHM", default=["Random", "REINFORCE"],
        help="[LABEL=]NAME[:SETTING=VALUE,...]: algorithms of the manifest, with fields of their own section, of "
        "controller.parallelism or of controller.policy, or paths below spec (default: Random REINFORCE)")  # fmt: skip
    add("--seeds", type=_positive, default=50, metavar="N", help="searches of each algorithm (default: %(default)s)")
    add("--first-seed", type=int, default=0, metavar="K", help="seeds are K ... K+N-1 (default: %(default)s)")
    add("--budget", type=_positive, default=1000, metavar="N",
        help="evaluations of a search: repeated architectures count (default: %(default)s)")  # fmt: skip
    add("--budgets", type=_positive, nargs="+", metavar="N",
        help=f"evaluations at which to report (default: {' '.join(map(str, _BUDGETS))}, up to --budget)")  # fmt: skip
    add("--target", type=float, default=0.037, metavar="R",
        help="regret of which to tell how many evaluations it takes (default: %(default)s)")  # fmt: skip
    add("--parallel", type=_positive, default=1, metavar="W", help="simulated workers (default: %(default)s)")
    add("--seconds", metavar="MODEL",
        help=f"what training takes: {NAS_BENCH_201} (12 epochs, by the operations of the cell), or a column of seconds "
        "(default: one second each)")  # fmt: skip
    add("--times", type=float, nargs="+", default=[], metavar="S",
        help="simulated seconds at which to report: searches go on for so long, whatever --budget says")  # fmt: skip
    add("--job-seconds", type=float, default=0.0, metavar="S",
        help="simulated seconds that a job of the learner takes (default: none)")  # fmt: skip
    add("--scale", type=float, help="the reward is SCALE * objective ^ EXPONENT (default: 0.01 if the objective goes "
        "beyond 1, as percentages do; else 1)")  # fmt: skip
    add("--exponent", type=float, default=1.0, help="negative if a lower objective is better (default: %(default)g)")
    add("--missing-fails", action="store_true",
        help="count architectures that the table has no objective of as failed trials")  # fmt: skip
    add("--jobs", type=_positive, default=len(os.sched_getaffinity(0)), metavar="N",
        help="processes (default: one a core)")  # fmt: skip
    add("--cache", type=Path, default=Path("runs/search-quality"), metavar="DIR",
        help="where searches that have ended are kept (default: %(default)s)")  # fmt: skip
    add("--render", type=Path, metavar="FILE", help="run nothing: take the results from a former -o FILE.json")
    add("-o", "--output", default="table", metavar="FORMAT|FILE",
        help="table, json or markdown; or a file that ends in .json or .md (default: table)")  # fmt: skip
    add("--markdown", action="store_const", const="markdown", dest="output", help="the same as -o markdown")
    add("--plot", type=Path, metavar="FILE", help="draw the regret: .png, .svg or .pdf")
    return parser


def _check_files(options: argparse.Namespace) -> None:
    """Before hours are spent on what cannot be written."""
    if options.output not in _FORMATS and Path(options.output).suffix not in (".json", ".md"):
        raise CommandError(f"-o {options.output}: neither {', '.join(_FORMATS)}, nor a file that ends in .json or .md")
    if options.plot is not None and options.plot.suffix not in _PICTURES:
        raise CommandError(f"--plot {options.plot}: its name should end in {', '.join(_PICTURES)}")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _measure(options: argparse.Namespace) -> _Results:
    if options.table is None or options.objective is None:
        raise CommandError("--table and --objective say what to search")
    contestants = [parse_contestant(text) for text in options.algorithms]
    labels = [contestant.label for contestant in contestants]
    if len(set(labels)) < len(labels):
        raise CommandError("two algorithms have the same label: name them apart with LABEL=NAME:...")
    budgets = sorted(set(options.budgets or [b for b in _BUDGETS if b < options.budget] + [options.budget]))
    times = sorted(options.times)
    report = options.report or options.objective
    seconds_column = {options.seconds} - {None, NAS_BENCH_201}
    table = read_table(options.table, list(dict.fromkeys([options.objective, report, *seconds_column])))
    if not options.missing_fails:
        table.require(options.objective)
    setting = Setting(
        table=table,
        objective=options.objective,
        seconds=training_seconds(table, options.seconds) if options.seconds else np.ones(len(table.architectures)),
        scale=_scale(table, options),
        exponent=options.exponent,
        workers=options.parallel,
        job_seconds=options.job_seconds,
        evaluations=budgets[-1],
        until=times[-1] if times else 0.0,
    )
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    runs = _run(setting, contestants, seeds, options)
    order = Scale(table.columns[options.objective], 1 if setting.scale * setting.exponent > 0 else -1)
    return {
        "table": table.name,
        "architectures": len(table.architectures),
        "objective": options.objective,
        "best": order.best,
        "report": report,
        "report_empty": int(np.isnan(table.columns[report]).sum()),
        "reward": f"{setting.scale:g} * {options.objective} ^ {setting.exponent:g}",
        "seeds": options.seeds,
        "first_seed": options.first_seed,
        "parallel": options.parallel,
        "seconds": options.seconds,
        "job_seconds": options.job_seconds,
        "times": times,
        "target": options.target,
        "algorithms": [
            figures_of(
                contestant,
                runs[contestant],
                order,
                table.columns[report],
                budgets=budgets,
                times=times,
                target=options.target,
            )
            for contestant in contestants
        ],
    }


def _scale(table: Table, options: argparse.Namespace) -> float:
    if options.scale is not None:
        return float(options.scale)
    return 0.01 if np.nanmax(table.columns[options.objective]) > 1 else 1.0


def _run(
    setting: Setting, contestants: Sequence[Contestant], seeds: Sequence[int], options: argparse.Namespace
) -> dict[Contestant, list[Run]]:
    """The runs of each contestant, by seed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    runs: dict[Contestant, list[Run]] = {contestant: [] for contestant in contestants}
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bars = {contestant: progress.add_task(contestant.label, total=len(seeds)) for contestant in contestants}
        for contestant, run in run_searches(setting, contestants, seeds, cache=options.cache, jobs=options.jobs):
            runs[contestant].append(run)
            progress.advance(bars[contestant])
    for found in runs.values():
        found.sort(key=lambda run: run.seed)  # so that sums do not depend on which ended first
    return runs


def _write(results: _Results, options: argparse.Namespace) -> None:
    output = options.output
    if output == "table":
        # A cell that is cut tells nothing.
        console = Console(highlight=False, width=max(Console().width, _WIDTH))
        for title, table in terminal_tables(results):
            console.print(title, style="bold", soft_wrap=True)
            console.print(table, "")
    elif output in _FORMATS:
        sys.stdout.write(_text(results, output))
    else:
        Path(output).write_text(_text(results, "json" if output.endswith(".json") else "markdown"))
    if options.plot is not None:
        draw_regret(results).savefig(options.plot)


def _text(results: _Results, form: str) -> str:
    return json.dumps(results, indent=2) + "\n" if form == "json" else markdown(results)
