"""Writes checks: as a table for people, and for programs."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from nas_cli.cluster.preflight.check import Check, Outcome, worst
from nas_cli.documents import write_document
from nas_cli.terminal import stdout
from nas_cli.wording import number

_WIDEST = 10_000
_STYLES = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "bold red"}


def write_checks(checks: Sequence[Check], search: str, context: str, output: str) -> None:
    """Writes checks to stdout.

    Args:
        checks: in their order.
        search: `NAMESPACE/NAME`.
        context: of the kubeconfig.
        output: `table`, `json` or `yaml`.
    """
    outcome = worst(checks)
    if output != "table":
        rows = [
            {"check": check.name, "outcome": check.outcome.value, "message": check.message, "advice": check.advice}
            for check in checks
        ]
        write_document({"search": search, "context": context, "outcome": outcome.value, "checks": rows}, output)
        return
    # A pipe has no width: programs such as grep want whole lines.
    console = stdout() if stdout().is_terminal else stdout(_WIDEST)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("check", "outcome", "message"):
        table.add_column(name, no_wrap=name == "outcome", overflow="fold")
    for check in checks:
        words = Text(check.message)
        if check.advice:
            words.append(f"\n→ {check.advice}", _STYLES[check.outcome])
        table.add_row(check.name, Text(check.outcome.value, _STYLES[check.outcome]), words)
    console.print(table, soft_wrap=False)
    counted = {each: sum(check.outcome is each for check in checks) for each in Outcome}
    verdict = {
        Outcome.OK: "can run",
        Outcome.WARNING: f"can run, with {number(counted[Outcome.WARNING], 'warning')},",
        Outcome.FAILED: f"cannot run: {counted[Outcome.FAILED]} failed, {number(counted[Outcome.WARNING], 'warning')},",
    }[outcome]
    console.print(Text(f"\n{search} {verdict} in the cluster of the context {context}", _STYLES[outcome]))
