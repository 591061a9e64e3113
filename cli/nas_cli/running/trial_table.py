"""The trials that have finished last, in a live view."""

from nas_api.spec import NASSearch
from nas_controller.journal.journal import TrialState
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.running.course import Course, FinishedTrial

_NUMBERS = 64  # characters of the other columns
_WITH_MESSAGES = 90  # characters, from which on there is room for what went wrong


def trial_table(course: Course, search: NASSearch, rows: int, width: int) -> Table:
    """The newest last.

    Args:
        course: of the search.
        search: the manifest.
        rows: that there is room for, with the header.
        width: that there is for it.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("finished", "reward", search.spec.reward.metric, "parameters", "took"):
        table.add_column(column, justify="right", no_wrap=True)
    wide = width >= _WITH_MESSAGES
    if wide:
        table.add_column("worker or error", no_wrap=True, overflow="ellipsis", max_width=width - _NUMBERS)
    for trial in list(course.last)[-max(1, rows - 1) :]:
        table.add_row(*_row(trial, wide=wide), style=_style(trial, course))
    return table


def _row(trial: FinishedTrial, *, wide: bool) -> list[str | Text]:
    record = trial.record
    row: list[str | Text] = [str(record.sampled.trial)]
    if record.state is TrialState.FAILED:
        row += [Text(record.reason, "red"), "", "", wording.duration(record.train_seconds)]
        return [*row, Text(record.message.partition("\n")[0], "red")] if wide else row
    row += [
        "" if record.reward is None else f"{record.reward:.4f}",
        "" if trial.metric is None else f"{trial.metric:#.4g}",
        wording.count(record.sampled.parameters) if record.sampled.parameters else "",
        wording.took(record),
    ]
    return [*row, Text(record.worker, "dim")] if wide else row


def _style(trial: FinishedTrial, course: Course) -> str:
    best = course.best.record.sampled.trial if course.best else None
    return "bold green" if best == trial.record.sampled.trial else ""
