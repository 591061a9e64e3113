"""What `nas run` says at the end: how the search stands, what was best, and what to do next."""

from nas_controller.journal.journal import TrialState
from nas_controller.progress import Verdict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.results import metric_of, open_results
from nas_cli.state_directory import StateDirectory


def print_report(directory: StateDirectory, console: Console, command: str, elapsed: float | None = None) -> None:
    """Prints the end of a run.

    Args:
        directory: of the search.
        console: where to print.
        command: the command line that takes the search up again.
        elapsed: seconds that the search has run in all; None: as the journal has it.
    """
    with open_results(directory.path) as results:
        progress = results.progress()
        budget = results.search.spec.budget
        verdict = progress.verdict(budget)
        best = next(iter(results.best(1)), None)
        console.print(Text(f"{results.name} {_describe(verdict)}", "bold"))
        grid = Table.grid(padding=(0, 2))
        failed = progress.counts.get(TrialState.FAILED, 0)
        grid.add_row("trials", f"{progress.finished} finished" + (f", {failed} of them failed" if failed else ""))
        grid.add_row("time", wording.duration(progress.active_seconds if elapsed is None else elapsed))
        if best is not None and best.reward is not None:
            metric = metric_of(best, results.search.spec.reward)
            measured = "" if metric is None else f", {results.search.spec.reward.metric} {metric:.4g}"
            size = f", {wording.count(best.sampled.parameters)} parameters" if best.sampled.parameters else ""
            grid.add_row("best", Text(f"trial {best.sampled.trial}: reward {best.reward:.4f}{measured}{size}", "green"))
        grid.add_row("state", Text(str(directory.path)))
        console.print(grid)
        where = f"-s {directory.path}"
        steps = {}
        if verdict is None:
            steps[command] = "go on with the search"
        elif verdict.reason == "BudgetSpent" and budget.max_trials is not None:
            steps[f"{command} --set spec.budget.maxTrials={2 * budget.max_trials}"] = "go further"
        elif verdict.reason == "DurationSpent":
            steps[f"{command} --set spec.budget.maxDuration=..."] = "go further"
        elif verdict.reason == "TargetReached":
            steps[f"{command} --set spec.budget.targetReward=..."] = "go further"
        if best is not None:
            steps |= {
                f"nas show best {where}": "the architecture, layer by layer",
                f"nas plot -o curve.png {where}": "how the search went",
                f"nas train best {where}": "train it to the end, test accuracy",
                f"nas export best -o best {where}": "take it away as PyTorch and ONNX",
            }
        if failed:
            steps[f"nas trials --failed {where}"] = "what failed, and why"
        width = max(map(len, steps), default=0)
        console.print("\nNext:")
        for step, purpose in steps.items():
            console.print(Text.assemble("  ", (step.ljust(width), "cyan"), "  ", (purpose, "dim")))


def _describe(verdict: Verdict | None) -> str:
    if verdict is None:
        return "was stopped before its end"
    return f"{'has ended' if verdict.state == 'SUCCEEDED' else 'has failed'}: {verdict.message}"
