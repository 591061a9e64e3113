"""The workers in a live view: each in a line as long as there is room, else the pools."""

from collections import Counter
from collections.abc import Mapping

from nas_api.rpc import trials_pb2 as pb
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.running.local_run import Phase
from nas_cli.running.view import WatchedRun, WatchedWorker


def worker_table(run: WatchedRun, rows: int, width: int) -> Table | Text:
    """Who trains what.

    Args:
        run: with its workers.
        rows: that there is room for, with the header.
        width: of the terminal.
    """
    if not run.workers:
        paused = run.summary is not None and run.summary.state == pb.Summary.SUSPENDED
        return Text(
            "no worker is there" + ("" if paused else ": the search waits for one"), "dim" if paused else "yellow"
        )
    if len(run.workers) < rows:
        return _each(run, width)
    return _pools(run, rows)


def _each(run: WatchedRun, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    # A name that is too long loses its beginning, which it has in common with the others.
    longest = max(16, width - 42)
    for column in ("worker", "device", "trial", "for"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    known = _known(run)
    running = run.phase is Phase.RUNNING
    for name, process in run.workers.items():
        worker, short = known.get(name), name if len(name) <= longest else f"…{name[1 - longest :]}"
        if process.hopeless:
            table.add_row(short, "", Text("given up", "red"), "")
        elif not process.running:
            table.add_row(short, "", Text("gone" if process.ended or not running else "starts again", "dim"), "")
        elif worker is None or not worker.alive:
            table.add_row(short, "", Text("starting" if running else "leaving", "dim"), "")
        else:
            trial = str(worker.trial_id) if worker.trial_id else Text("idle", "dim")
            table.add_row(short, worker.device, trial, wording.duration(worker.seconds_in_state))
    return table


def _pools(run: WatchedRun, rows: int) -> Table:
    known = _known(run)
    counts: dict[str, Counter[str]] = {}
    for name, process in run.workers.items():
        worker = known.get(name)
        # One that the controller has not heard of is of this machine, where it is named after its pool.
        pool = (worker.pool if worker is not None else "") or name.rpartition("-")[0] or name
        counts.setdefault(pool, Counter())[_state(process, worker)] += 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("pool", no_wrap=True, overflow="ellipsis")
    for column in ("workers", "training", "idle", "not there"):
        table.add_column(column, justify="right", no_wrap=True)
    largest = sorted(counts.items(), key=lambda item: -item[1].total())
    shown = largest if len(largest) < rows else largest[: max(1, rows - 2)]
    for pool, states in shown:
        table.add_row(pool, *_row(states))
    if rest := largest[len(shown) :]:
        together = sum((states for _, states in rest), Counter[str]())
        table.add_row(f"{wording.number(len(rest), 'more pool')}", *_row(together))
    return table


def _row(states: Counter[str]) -> list[Text]:
    training, idle, away = states["training"], states["idle"], states["not there"]
    return [
        Text(str(states.total())),
        Text(str(training)),
        Text(str(idle), "" if idle else "dim"),
        Text(str(away), "yellow" if away else "dim"),
    ]


def _state(process: WatchedWorker, worker: pb.Worker | None) -> str:
    if not process.running or worker is None or not worker.alive:
        return "not there"
    return "training" if worker.trial_id else "idle"


def _known(run: WatchedRun) -> Mapping[str, pb.Worker]:
    return {worker.worker_id: worker for worker in run.summary.workers} if run.summary else {}
