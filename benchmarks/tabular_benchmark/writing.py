"""Writes the results of a benchmark as tables: for the terminal, and in Markdown for documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

Results = Mapping[str, Any]
Rows = list[list[str]]


def tables_of(results: Results) -> list[tuple[str, Rows]]:
    """Each table with its title. The first row has the names of the columns, the first column the algorithms."""
    algorithms = results["algorithms"]
    budgets = [f"{each['evaluations']}" for each in algorithms[0]["budgets"]]
    seeds = f"mean of {results['seeds']} seeds ± standard error"

    def at_budgets(key: str, digits: int) -> Rows:
        head = ["evaluations", *budgets]
        return [head, *([a["label"], *(_mean(each[key], digits) for each in a["budgets"])] for a in algorithms)]

    objective, report = results["objective"], results["report"]
    empty = results.get("report_empty", 0)
    left_out = f"; {empty} of {results['architectures']} rows have none and are left out" if empty else ""
    regret = at_budgets("regret", 3)
    regret[0] += ["area", f"until {results['target']:g}"]
    for row, algorithm in zip(regret[1:], algorithms, strict=True):
        row.append(_mean(algorithm["area"], 3))
        row.append(_or_dash(algorithm["evaluations_to_target"], "{:.0f}"))
    tables = [
        (f"Regret in points of {objective} ({seeds}), its area, and evaluations until it is {results['target']:g}",
         regret),
        (f"{objective} of the best architecture ({seeds}); best in the table: {results['best']:.3f}",
         at_budgets("objective", 2)),
        (f"{report} of the same architecture ({seeds}{left_out})", at_budgets("report", 2)),
        (f"Mean {objective} of the 5 best architectures ({seeds})", at_budgets("top_5", 2)),
        (f"Mean {objective} of the 15 best architectures ({seeds})", at_budgets("top_15", 2)),
    ]  # fmt: skip
    if results["parallel"] > 1 or results["times"]:
        tables.append(_asynchronous(results, seeds))
    return tables


def _asynchronous(results: Results, seeds: str) -> tuple[str, Rows]:
    head = ["algorithm", *(f"regret at {_hours(time)}" for time in results["times"])]
    head += ["workers idle", "version lag: mean", "most", f"device hours until {results['target']:g}"]
    rows = [head]
    for algorithm in results["algorithms"]:
        spent = algorithm["device_seconds_to_target"]
        rows.append(
            [
                algorithm["label"],
                *(_mean(each["regret"], 3) for each in algorithm["times"]),
                f"{algorithm['idle_share']['mean']:.2%}",
                f"{algorithm['version_lag']['mean']:.2f}",
                f"{algorithm['version_lag']['max']}",
                _or_dash(spent and spent / 3600, "{:.2f}"),
            ]
        )
    return f"{results['parallel']} asynchronous workers, simulated time ({seeds})", rows


def _hours(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def _mean(value: Mapping[str, float | None], digits: int) -> str:
    if value["mean"] is None:
        return "-"
    error = value["standard_error"]
    spread = "" if error is None else f" ± {error:.{digits}f}"
    return f"{value['mean']:.{digits}f}{spread}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def terminal_tables(results: Results) -> list[tuple[str, Table]]:
    """The tables for a terminal, each with its title."""
    tables = []
    for title, (head, *rows) in tables_of(results):
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for index, name in enumerate(head):
            table.add_column(name, justify="right" if index else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        tables.append((title, table))
    return tables


def markdown(results: Results) -> str:
    """The tables as GitHub's Markdown."""
    return "\n\n".join(f"{title}:\n\n{_markdown_table(rows)}" for title, rows in tables_of(results)) + "\n"


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
