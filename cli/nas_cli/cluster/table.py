"""Writes the searches of a cluster: as a table for people, and for programs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from nas_cli.cluster.cluster import Object
from nas_cli.documents import write_csv, write_document
from nas_cli.terminal import stdout

_WIDEST = 10_000
_WIDE = ("failed", "updates", "algorithm", "space", "message")
_STYLES = {"Running": "", "FinalTraining": "cyan", "Suspended": "dim", "Succeeded": "green"}


def write_searches(searches: Sequence[Object], output: str, *, namespaces: bool, where: str) -> None:
    """Writes searches to stdout.

    Args:
        searches: the objects.
        output: `table`, `wide`, `json`, `yaml` or `csv`.
        namespaces: with a column for them.
        where: they are, in words.
    """
    if output in ("json", "yaml"):
        kept = [_without_managed_fields(search) for search in searches]
        write_document({"apiVersion": "v1", "kind": "List", "items": kept}, output)
        return
    rows = [summarize(search) for search in searches]
    if output == "csv":
        write_csv(rows, list(summarize({"metadata": {"name": ""}})))
    elif not rows:
        stdout().print(f"no searches in {where}", markup=False)
    else:
        # As wide as it is, whatever the terminal, as kubectl does it: rows that are broken cannot be read.
        stdout(_WIDEST).print(_table(rows, wide=output == "wide", namespaces=namespaces))


def summarize(search: Object) -> dict[str, Any]:
    """A search in a row."""
    metadata, spec, status = search["metadata"], search.get("spec") or {}, search.get("status") or {}
    trials, workers = status.get("trials") or {}, status.get("workers") or {}
    state, message = _state(status.get("conditions") or ())
    controller = spec.get("controller") or {}
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "state": state,
        "trials": trials.get("finished", 0),
        "maxTrials": (spec.get("budget") or {}).get("maxTrials"),
        "failed": trials.get("failed", 0),
        "best": (status.get("bestTrial") or {}).get("reward"),
        "workers": workers.get("alive", 0),
        "workersWanted": workers.get("wanted", 0),
        "updates": status.get("updates", 0),
        "algorithm": (controller.get("algorithm") or {}).get("type", ""),
        "space": (spec.get("searchSpace") or {}).get("type", ""),
        "created": metadata.get("creationTimestamp", ""),
        "message": message,
    }


def age(created: str, now: datetime | None = None) -> str:
    """How long ago that was, as kubectl writes it: `42s`, `12m`, `5h`, `3d`. Empty if it is not known."""
    if not created:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - datetime.fromisoformat(created)).total_seconds()))
    for length, unit, until in ((1, "s", 120), (60, "m", 180 * 60), (3600, "h", 48 * 3600)):
        if seconds < until:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"


def _state(conditions: Sequence[Object]) -> tuple[str, str]:
    """The reason of the condition Ready, and its message: what `kubectl get` shows, and why."""
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    if ready is None:
        return "", "the operator has not seen it yet"
    return ready["reason"], ready.get("message", "")


def _table(rows: Sequence[Mapping[str, Any]], *, wide: bool, namespaces: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    left = [*(["namespace"] if namespaces else []), "name", "state"]
    for name in left:
        table.add_column(name)
    for name in ("trials", "best", "workers", "age"):
        table.add_column(name, justify="right")
    for name in _WIDE if wide else ():
        table.add_column(name, justify="right" if name in ("failed", "updates") else "left")
    for row in rows:
        of = "" if row["maxTrials"] is None else f"/{row['maxTrials']}"
        best = "" if row["best"] is None else f"{row['best']:.4f}"
        table.add_row(
            *(row[name] for name in left),
            f"{row['trials']}{of}",
            best,
            f"{row['workers']}/{row['workersWanted']}",
            age(row["created"]),
            *(str(row[name]) for name in (_WIDE if wide else ())),
            style=_STYLES.get(row["state"], "yellow"),
        )
    return table


def _without_managed_fields(search: Object) -> Object:
    metadata = {name: value for name, value in search["metadata"].items() if name != "managedFields"}
    return {**search, "metadata": metadata}
