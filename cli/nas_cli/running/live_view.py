"""`LiveView`: the state of a run on a terminal, redrawn in place."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from nas_api.spec.base import parse_duration
from nas_controller.journal.journal import TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.running.course import RECENT, Course, FinishedTrial
from nas_cli.running.local_run import Phase
from nas_cli.running.view import PHASES, View, WatchedRun, final_stage_line

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKLINE = 40  # characters
_ADVICE = "Ctrl-C stops in order; the search can be taken up again"
_WORKERS = 16  # shown; more would leave no room for the rest


class LiveView(View):
    """Redraws itself in place."""

    def __init__(self, search: NASSearch, where: str, console: Console, advice: str = _ADVICE) -> None:
        super().__init__(search, where, console)
        self._advice = advice
        self._live = Live(console=console, refresh_per_second=4, transient=True, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, run: WatchedRun, course: Course | None, new: Sequence[FinishedTrial]) -> None:  # noqa: ARG002
        """Draws anew."""
        self._live.update(self.render(run, course))

    def render(self, run: WatchedRun, course: Course | None) -> RenderableType:
        """The whole picture."""
        algorithm = self.search.spec.controller.algorithm.type
        parts: list[RenderableType] = [
            Text.assemble(
                (self.search.metadata.name, "bold"),
                f"  {algorithm}, {wording.number(len(run.workers), 'worker')}  ",
                (self.where, "dim"),
            )
        ]
        if run.summary is None or course is None:
            parts.append(Text("starting the controller ...", style="dim"))
            return Group(*parts)
        parts.append(self._progress(run.summary, course))
        parts.append(self._figures(run.summary, course))
        if run.summary.final_trainings:
            parts.append(Text(final_stage_line(run.summary.final_trainings_finished, run.summary.final_trainings)))
        if run.summary.state == pb.Summary.SUSPENDED:
            parts.append(Text("paused: no trial goes out to a worker", style="yellow"))
        if run.summary.journal_problem:
            parts.append(
                Text(f"nothing can be written, the search waits: {run.summary.journal_problem}", style="bold red")
            )
        if not run.answering and run.phase < Phase.CLOSING:
            parts.append(Text("the controller does not answer", style="yellow"))
        parts += ["", _workers(run)]
        if course.last:
            parts += ["", _last_trials(course, self.search)]
        parts.append("")
        if note := PHASES.get(run.phase):
            parts.append(Text(note, style="bold yellow"))
        else:
            parts.append(Text(self._advice, style="dim"))
        return Group(*parts)

    def _progress(self, summary: pb.Summary, course: Course) -> Table:
        budget = self.search.spec.budget
        grid = Table.grid(padding=(0, 2))
        done = f"{summary.trials_finished} trials"
        bar: RenderableType = ""
        if budget.max_trials is not None:
            done = f"{summary.trials_finished}/{budget.max_trials} trials"
            bar = ProgressBar(total=budget.max_trials, completed=summary.trials_finished, width=_SPARKLINE)
        elif budget.max_duration is not None:
            bar = ProgressBar(
                total=parse_duration(budget.max_duration).total_seconds(), completed=self.elapsed(), width=_SPARKLINE
            )
        left = self.remaining(summary, course)
        grid.add_row(
            bar,
            done,
            f"{wording.duration(self.elapsed())} elapsed",
            f"about {wording.duration(left)} left" if left is not None else "",
        )
        return grid

    def _figures(self, summary: pb.Summary, course: Course) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        if course.best is not None:
            metric = self.search.spec.reward.metric
            measured = "" if course.best.metric is None else f"   {metric} {course.best.metric:#.4g}"
            grid.add_row(
                "best",
                Text(
                    f"{course.best.record.reward:.4f}   trial {course.best.record.sampled.trial}{measured}",
                    "bold green",
                ),
            )
        mean = course.recent_mean()
        if mean is not None:
            baseline = course.update.baseline if course.update else None
            compared = "" if baseline is None else f"   baseline {baseline:.4f}"
            grid.add_row("reward", Text(f"{mean:.4f} mean of the last {min(RECENT, len(course.rewards))}{compared}"))
            grid.add_row("", Text(sparkline(course.rewards, _SPARKLINE), "cyan"))
        if course.update is not None:
            entropy = "" if course.update.entropy is None else f"{course.update.entropy:.4f} nats a decision, "
            grid.add_row(
                "policy" if not entropy else "entropy",
                f"{entropy}after {wording.number(course.update.version, 'update')}",
            )
        if saved := wording.saved(course.replayed, course.stopped_early):
            grid.add_row("saved", saved)
        failed = wording.number(summary.trials_failed, "failed trial")
        troubles = f"{failed}, {wording.number(summary.leases_expired, 'lease')} expired"
        grid.add_row("trouble", Text(troubles, "yellow" if summary.trials_failed or summary.leases_expired else "dim"))
        return grid


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of `values` in `width` characters: each is the mean of its part. Shorter if there are fewer values."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)


def _workers(run: WatchedRun) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("worker", "device", "trial", "for"):
        table.add_column(column)
    known = {worker.worker_id: worker for worker in run.summary.workers} if run.summary else {}
    running = run.phase is Phase.RUNNING
    for name, process in list(run.workers.items())[:_WORKERS]:
        worker = known.get(name)
        if process.hopeless:
            table.add_row(name, "", Text("given up", "red"), "")
        elif not process.running:
            table.add_row(name, "", Text("gone" if process.ended or not running else "starts again", "dim"), "")
        elif worker is None or not worker.alive:
            table.add_row(name, "", Text("starting" if running else "leaving", "dim"), "")
        else:
            trial = str(worker.trial_id) if worker.trial_id else Text("idle", "dim")
            table.add_row(name, worker.device, trial, wording.duration(worker.seconds_in_state))
    if len(run.workers) > _WORKERS:
        training = sum(worker.trial_id > 0 for worker in known.values())
        table.add_row("...", "", Text(f"{training} of {len(run.workers)} workers train", "dim"), "")
    return table


def _last_trials(course: Course, search: NASSearch) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("finished", justify="right")
    for column in ("reward", search.spec.reward.metric, "parameters", "took"):
        table.add_column(column, justify="right")
    for trial in course.last:
        record = trial.record
        if record.state is TrialState.FAILED:
            table.add_row(
                str(record.sampled.trial), Text(record.reason, "red"), "", "", wording.duration(record.train_seconds)
            )
            continue
        style = "bold green" if course.best and course.best.record.sampled.trial == record.sampled.trial else ""
        table.add_row(
            str(record.sampled.trial),
            "" if record.reward is None else f"{record.reward:.4f}",
            "" if trial.metric is None else f"{trial.metric:#.4g}",
            wording.count(record.sampled.parameters) if record.sampled.parameters else "",
            wording.took(record),
            style=style,
        )
    return table
