"""What `nas run` says at the end: how the search stands, what was best, and what to do next."""

import shlex
from collections.abc import Sequence

from nas_controller.best_trainings import best_of_all, best_trainings, describe_training
from nas_controller.journal.journal import TrialRecord, TrialState
from nas_controller.progress import Verdict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.random_twin import twin_directory
from nas_cli.results import Results, open_results
from nas_cli.running.course import Course
from nas_cli.search_results import metric_of
from nas_cli.state_directory import StateDirectory

_FAILURES = 3  # the last ones, shown when the search has failed


def print_report(
    directory: StateDirectory, console: Console, command: Sequence[str], elapsed: float | None = None
) -> Verdict | None:
    """Prints how the search stands and what to do next.

    Args:
        directory: of the search.
        console: where to print.
        command: what took the search up.
        elapsed: seconds that the search has run in all; None: as the journal has it.

    Returns:
        How the search has ended; None: it has not.
    """
    with open_results(directory.path) as results:
        verdict = results.verdict()
        best = next(iter(results.best(1)), None)
        console.print(Text(f"{results.name} {_describe(verdict)}", "bold"))
        console.print(_figures(results, best, elapsed))
        if verdict is not None and verdict.state == "FAILED":
            _print_last_failures(results, console)
        _print_steps(_go_on(results, verdict, command) | _look(results, best), console)
    return verdict


def _print_last_failures(results: Results, console: Console) -> None:
    failures = [record for record in results.finished() if record.state is TrialState.FAILED][-_FAILURES:]
    if failures:
        console.print("\nThe last failures:")
    for record in failures:
        trial = record.sampled.trial
        console.print(Text(f"  trial {trial}: {record.reason}: {record.message}", "red"))
        console.print(Text(f"    its log: {results.state.trial_log(trial)}", "dim"))


def _print_steps(steps: dict[str, str], console: Console) -> None:
    """Prints commands with what they are for beside them, or below them where there is no room."""
    width = max(map(len, steps), default=0)
    beside = width + max(map(len, steps.values()), default=0) + 4 <= console.width
    console.print("\nNext:")
    for step, purpose in steps.items():
        gap = " " * (width - len(step) + 2) if beside else "\n      "
        console.print(Text.assemble("  ", (step, "cyan"), gap, (purpose, "dim")))


def _describe(verdict: Verdict | None) -> str:
    if verdict is None:
        return "was stopped before its end"
    return f"{'has ended' if verdict.state == 'SUCCEEDED' else 'has failed'}: {verdict.message}"


def _figures(results: Results, best: TrialRecord | None, elapsed: float | None) -> Table:
    progress, reward = results.progress(), results.search.spec.reward
    grid = Table.grid(padding=(0, 2))
    failed = progress.counts.get(TrialState.FAILED, 0)
    grid.add_row("trials", f"{progress.finished} finished" + (f", {failed} of them failed" if failed else ""))
    course = Course(results)
    if saved := wording.saved(course.replayed, course.stopped_early):
        grid.add_row("saved", saved)
    for about, remark in results.remarks().items():
        grid.add_row(about, Text(remark, "yellow"))
    grid.add_row("time", wording.duration(progress.active_seconds if elapsed is None else elapsed))
    if best is not None and best.reward is not None:
        metric = metric_of(best, reward)
        measured = "" if metric is None else f", {reward.metric} {metric:.4g}"
        size = f", {wording.count(best.sampled.parameters)} parameters" if best.sampled.parameters else ""
        grid.add_row("best", Text(f"trial {best.sampled.trial}: reward {best.reward:.4f}{measured}{size}", "green"))
    for training in best_trainings(results.final_trainings()).values():
        grid.add_row("final training", Text(describe_training(training), "green"))
    grid.add_row("state", Text(str(results.state.path)))
    return grid


def _go_on(results: Results, verdict: Verdict | None, command: Sequence[str]) -> dict[str, str]:
    """The command that takes the search up again, and what for."""
    budget = results.search.spec.budget
    if verdict is None:
        return {shlex.join(command): "go on with the search"}
    wanted = {
        "BudgetSpent": f"spec.budget.maxTrials={2 * (budget.max_trials or 0)}",
        "DurationSpent": "spec.budget.maxDuration=...",
        "TargetReached": "spec.budget.targetReward=...",
    }.get(verdict.reason)
    return {shlex.join(_with_override(command, wanted)): "go further"} if wanted else {}


def _with_override(command: Sequence[str], override: str) -> list[str]:
    """`command` with `--set override`, in the place of a former one of the same field."""
    field = override.partition("=")[0] + "="
    former = [i for i, word in enumerate(command) if word == "--set" and command[i + 1 : i + 2][0].startswith(field)]
    kept = [word for i, word in enumerate(command) if i not in former and i - 1 not in former]
    return [*kept, "--set", override]


def _look(results: Results, best: TrialRecord | None) -> dict[str, str]:
    """The commands that show what was found, and what for."""
    where = f"-s {shlex.quote(str(results.state.path))}"
    steps = {}
    if best is not None:
        spec = results.search.spec
        part = {"ConvNet": "layer", "RecurrentCell": "node", "Discrete": "choice"}[spec.search_space.type]
        steps = {
            f"nas show best {where}": f"the architecture, {part} by {part}",
            f"nas plot -o curve.png {where}": "how the search went",
            f"nas report -o report.html {where}": "all of it, on a page",
        }
        if not spec.trainer.is_user_task and best_of_all(results.final_trainings()) is None:
            steps[f"nas train best {where}"] = "train it to the end, and measure it on the test set"
        if spec.search_space.type == "ConvNet":
            steps[f"nas export best -o best {where}"] = "take it away as PyTorch and ONNX"
        elif spec.search_space.type == "RecurrentCell" and not spec.trainer.is_user_task:
            steps[f"nas export best -o best {where}"] = "take it away as PyTorch"
        else:
            steps[f"nas show best -o json {where}"] = "the architecture for your own code"
    twin = twin_directory(results.state.path)
    if best is not None and (twin / "search.yaml").exists():
        compare = shlex.join(["nas", "compare", str(twin), str(results.state.path)])
        steps[compare] = "how far ahead of its random twin it is"
    if results.progress().counts.get(TrialState.FAILED):
        steps[f"nas trials --failed {where}"] = "what failed, and why"
    return steps
