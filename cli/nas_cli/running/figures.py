"""The figures of a live view: how far the search is, what it has found, and what troubles it."""

from collections.abc import Sequence
from itertools import pairwise

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from nas_api.spec.base import parse_duration
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.running.course import RECENT, Course

_BLOCKS = "▁▂▃▄▅▆▇█"
_NARROWEST, _WIDEST = 10, 80  # of a bar or a curve, in characters
_LABEL = 7


def progress_line(search: NASSearch, summary: pb.Summary, elapsed: float, left: float | None, width: int) -> Table:
    """How far the search is, in a line: a bar of the bound that is nearest, trials, seconds.

    Args:
        search: with its budget.
        summary: of the search.
        elapsed: seconds that it has run.
        left: seconds until the budget is spent. None: not known.
        width: of the terminal.
    """
    budget = search.spec.budget
    most, longest = budget.max_trials, budget.max_duration
    seconds = parse_duration(longest).total_seconds() if longest is not None else None
    words = [
        f"{summary.trials_finished}{f'/{most}' if most is not None else ''} trials",
        f"{wording.duration(elapsed)}{f' of {wording.duration(seconds)}' if seconds is not None else ''} elapsed",
        f"about {wording.duration(left)} left" if left is not None else "",
    ]
    bounds = [summary.trials_finished / most] if most else []
    bounds += [elapsed / seconds] if seconds is not None else []
    grid = Table.grid(padding=(0, 2, 0, 0))
    shown = [text for text in words if text]
    room = width - sum(len(text) + 2 for text in shown) - 2
    if bounds and room >= _NARROWEST:
        bar = ProgressBar(
            total=1.0, completed=min(max(bounds), 1.0), width=min(room, _WIDEST), complete_style="cyan",
            finished_style="green",
        )  # fmt: skip
        grid.add_row(bar, *shown)
    else:
        grid.add_row(*shown)
    return grid


def figures(search: NASSearch, summary: pb.Summary, course: Course, width: int) -> Table:
    """What the search has found and how it learns.

    Args:
        search: the manifest.
        summary: of it.
        course: its rewards.
        width: that there is for it.
    """
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=_LABEL)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    if course.best is not None:
        grid.add_row("best", _best(search, course))
    elif summary.trials_finished:
        grid.add_row("best", Text("no trial has succeeded yet", "yellow"))
    mean = course.recent_mean()
    if mean is not None:
        baseline = course.update.baseline if course.update else None
        compared = "" if baseline is None else f"   baseline {baseline:.4f}"
        grid.add_row("reward", Text(f"{mean:.4f} mean of the last {min(RECENT, len(course.rewards))}{compared}"))
        grid.add_row("", Text(sparkline(course.rewards, max(_NARROWEST, min(_WIDEST, width - _LABEL - 4))), "cyan"))
    if course.update is not None:
        entropy = "" if course.update.entropy is None else f"{course.update.entropy:.4f} nats a decision, "
        grid.add_row(
            "policy" if not entropy else "entropy", f"{entropy}after {wording.number(course.update.version, 'update')}"
        )
    if saved := wording.saved(course.replayed, course.stopped_early):
        grid.add_row("saved", saved)
    if summary.final_trainings:
        grid.add_row("final", _final(summary))
    grid.add_row("trouble", _trouble(summary))
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


def _best(search: NASSearch, course: Course) -> Text:
    assert course.best is not None
    record = course.best.record
    measured = "" if course.best.metric is None else f"   {search.spec.reward.metric} {course.best.metric:#.4g}"
    target = search.spec.budget.target_reward
    wanted = "" if target is None else f"   of {target:g} wanted"
    return Text(f"{record.reward:.4f}   trial {record.sampled.trial}{measured}{wanted}", "bold green")


def _final(summary: pb.Summary) -> Text:
    text = Text(f"{summary.final_trainings_finished} of {summary.final_trainings} trainings finished")
    if summary.HasField("final_best"):
        best = summary.final_best
        text.append(f"   best {best.final_result.reward:.4f}, trial {best.trial_id}", "bold green")
    return text


def _trouble(summary: pb.Summary) -> Text:
    troubles = [
        wording.number(count, thing) + after
        for count, thing, after in (
            (summary.trials_failed, "failed trial", ""),
            (summary.leases_expired, "lease", " expired"),
        )
        if count
    ]
    return Text(", ".join(troubles), "yellow") if troubles else Text("none", "dim")
