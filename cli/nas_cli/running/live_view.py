"""`LiveView`: the state of a run on a terminal, redrawn in place, in the room that the terminal has."""

from collections.abc import Sequence
from typing import Self

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.running.course import Course, FinishedTrial
from nas_cli.running.figures import figures, progress_line
from nas_cli.running.local_run import Phase
from nas_cli.running.trial_table import trial_table
from nas_cli.running.view import PHASES, View, WatchedRun
from nas_cli.running.worker_table import worker_table

_ADVICE = "Ctrl-C stops in order; the search can be taken up again"
_TWO_COLUMNS = 150  # characters, from which on the trials are beside the rest
_LEAST_ROWS = 4  # of a table, with its header


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
        head = self._heading(run)
        if run.summary is None or course is None:
            return Group(head, Text("starting the controller ...", style="dim"))
        width, height = self.console.size
        left = self.remaining(run.summary, course)
        progress = progress_line(self.search, run.summary, self.elapsed(), left, width)
        notes = self._notes(run, run.summary)
        two = width >= _TWO_COLUMNS
        of_search = figures(self.search, run.summary, course, width // 2 if two else width)
        # Of the rows of the terminal these are for tables: without the last, where the cursor is.
        rows = height - 1 - 2 - len(notes) - 2
        rows -= 0 if two else of_search.row_count + 2
        if two:
            inner = Table.grid()
            inner.add_row(of_search)
            inner.add_row("")
            inner.add_row(worker_table(run, max(rows - of_search.row_count - 1, _LEAST_ROWS), width // 2))
            both = Table.grid(padding=(0, 4, 0, 0))
            both.add_row(inner, trial_table(course, self.search, rows, width // 2) if course.last else "")
            body: list[RenderableType] = [both]
        else:
            for_trials = min(len(course.last) + 1, _LEAST_ROWS) if course.last else 0
            workers = worker_table(run, max(rows - for_trials, _LEAST_ROWS), width)
            rows -= workers.row_count + 1 if isinstance(workers, Table) else 1
            body = [of_search, "", workers]
            body += ["", trial_table(course, self.search, max(rows, for_trials), width)] if course.last else []
        phase = PHASES.get(run.phase)
        foot = Text(phase, style="bold yellow") if phase else Text(self._advice, style="dim")
        return Group(head, progress, *notes, *body, "", foot)

    def _heading(self, run: WatchedRun) -> Text:
        algorithm = self.search.spec.controller.algorithm.type
        text = Text.assemble(
            (self.search.metadata.name, "bold"),
            f"  {algorithm}, {wording.number(len(run.workers), 'worker')}  ",
            (self.where, "dim"),
        )
        text.no_wrap, text.overflow = True, "ellipsis"
        return text

    def _notes(self, run: WatchedRun, summary: pb.Summary) -> list[Text]:
        """What a person should know now."""
        notes = []
        if summary.state == pb.Summary.SUSPENDED:
            notes.append(Text("paused: no trial goes out to a worker", style="yellow"))
        if summary.journal_problem:
            notes.append(Text(f"nothing can be written, the search waits: {summary.journal_problem}", style="bold red"))
        if not run.answering and run.phase < Phase.CLOSING:
            notes.append(Text("the controller does not answer", style="yellow"))
        return notes
