"""Writes trials as tables for people, and as JSON, YAML and CSV for programs."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nas_api.spec import NASSearch
from nas_api.spec.final_training import describe_settings
from nas_controller.best_trainings import best_trainings, last_metrics, metrics_of_test
from nas_controller.journal.journal import FinalTrainingRecord, Measurement, TrialRecord, TrialState
from rich.table import Table
from rich.text import Text

from nas_cli import wording
from nas_cli.architecture_table import architecture_table
from nas_cli.documents import write_csv, write_document
from nas_cli.search_results import SearchResults, architecture_of, metric_of
from nas_cli.terminal import stdout

_NESTED = ("architecture", "measurements")  # not for CSV
_STYLES = {TrialState.SUCCEEDED: "", TrialState.FAILED: "red", TrialState.LEASED: "cyan", TrialState.PENDING: "dim"}


def write_trials(records: Sequence[TrialRecord], search: NASSearch, output: str) -> None:
    """Writes a list of trials to stdout: `table`, `json`, `yaml` or `csv`."""
    if output == "table":
        stdout().print(_trials_table(records, search) if records else "no trials")
        return
    documents = [document(record, search) for record in records]
    if output == "csv":
        rows = [{name: value for name, value in d.items() if name not in _NESTED} for d in documents]
        write_csv(rows, list(rows[0]) if rows else ["trial"])
    else:
        write_document(documents, output)


def write_trial(record: TrialRecord, results: SearchResults, output: str) -> None:
    """Writes everything about one trial to stdout: `table`, `json` or `yaml`."""
    if output != "table":
        final = results.final_training(record.sampled.trial)
        write_document(
            document(record, results.search) | ({"finalTraining": _final_document(final)} if final else {}), output
        )
        return
    console = stdout()
    console.print(_heading(record, results))
    console.print(architecture_table(architecture_of(record), results.data_shape()))
    if record.measurements:
        console.print()
        console.print(_measurements_table(record.measurements))
    trainings = [training for training in results.final_trainings() if training.planned.trial == record.sampled.trial]
    if trainings:
        console.print()
        console.print(_final_table(trainings))


def document(record: TrialRecord, search: NASSearch) -> dict[str, Any]:
    """A trial as plain values, named in the manner of the manifest. Seconds, and times in ISO 8601."""
    finished = datetime.fromtimestamp(record.finished_at, UTC) if record.finished_at else None
    return {
        "trial": record.sampled.trial,
        "state": record.state.value,
        "reward": record.reward,
        search.spec.reward.metric: metric_of(record, search.spec.reward),
        "parameters": record.sampled.parameters or None,
        "flops": record.sampled.flops or None,
        "sequence": record.sequence or None,
        "policyVersion": record.policy_version,
        "attempts": record.attempts,
        "worker": record.worker,
        "replayOf": record.replay_of,
        "trainSeconds": round(record.train_seconds, 3),
        "finishedAt": finished.isoformat(timespec="seconds") if finished else None,
        "reason": record.reason,
        "message": record.message,
        "digest": record.sampled.digest,
        # Not known without a controller.
        "architecture": json.loads(record.sampled.architecture) if record.sampled.architecture else None,
        "measurements": [{"step": m.step, "seconds": round(m.seconds, 3), **m.metrics} for m in record.measurements],
    }


def _trials_table(records: Sequence[TrialRecord], search: NASSearch) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    is_convnet = search.spec.search_space.type == "ConvNet"
    names = ["trial", "state", "reward", search.spec.reward.metric, "parameters", "took", "layers", "reason"]
    for name in names if is_convnet else [name for name in names if name not in ("parameters", "layers")]:
        table.add_column(name, justify="left" if name in ("state", "reason") else "right")
    for record in records:
        metric = metric_of(record, search.spec.reward)
        sampled = record.sampled
        table.add_row(
            str(sampled.trial),
            record.state.value,
            "" if record.reward is None else f"{record.reward:.4f}",
            "" if metric is None else f"{metric:.4g}",
            *([wording.count(sampled.parameters) if sampled.parameters else ""] if is_convnet else []),
            wording.took(record) if record.sequence else "",
            *([str(sampled.proposal.depth or "")] if is_convnet else []),
            record.reason,
            style=_STYLES.get(record.state, ""),
        )
    return table


def _heading(record: TrialRecord, results: SearchResults) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    search = results.search
    grid.add_row("trial", Text(f"{record.sampled.trial} of {search.metadata.name}", "bold"))
    grid.add_row("state", Text(record.state.value, _STYLES.get(record.state, "")))
    if record.replay_of is not None:
        grid.add_row("", f"not trained: trial {record.replay_of} is of the same network, and this is its reward")
    if record.state is TrialState.STOPPED_EARLY:
        grid.add_row("", "not trained to its end; its reward is at most that of any trial that it lost to")
    if record.reason:
        grid.add_row("reason", Text(record.reason))
        grid.add_row("", Text(record.message))
    log = results.log_of(record.sampled.trial)
    if log is not None:
        grid.add_row("log", Text(str(log)))
    if record.reward is not None:
        grid.add_row("reward", f"{record.reward:.4f}")
    metric = metric_of(record, search.spec.reward)
    if metric is not None:
        reward = search.spec.reward
        window = f" of the last {reward.window} epochs" if reward.window else ""
        grid.add_row(reward.metric, f"{metric:.4g} ({reward.aggregate.lower()}{window})")
    if record.sampled.parameters:
        grid.add_row("parameters", f"{record.sampled.parameters:,}")
        grid.add_row("FLOPs", f"{wording.count(record.sampled.flops)} a sample, forward")
    grid.add_row("proposed", f"by version {record.policy_version} of the policy")
    if record.worker:
        attempts = "" if record.attempts <= 1 else f", attempt {record.attempts}"
        grid.add_row("worker", f"{record.worker}, {wording.duration(record.train_seconds)}{attempts}")
    grid.add_row("digest", record.sampled.digest)
    return grid


def _final_document(record: FinalTrainingRecord) -> dict[str, Any]:
    """The final training that counts, as plain values."""
    return {
        "training": record.planned.training,
        "settings": json.loads(record.planned.settings),
        "reward": record.reward,
        "metrics": last_metrics(record),
        "trainSeconds": round(record.train_seconds, 3),
        "weightsBytes": record.weights_bytes or None,
        "message": record.message,
    }


def _final_table(records: Sequence[FinalTrainingRecord]) -> Table:
    """The final trainings of a trial, the one that counts marked."""
    best = best_trainings(records).get(records[0].planned.trial)
    names = list(dict.fromkeys(name for record in records for name in metrics_of_test(record)))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", title="final training", title_justify="left")
    for name in ("", "state", "reward", *names, "took"):
        table.add_column(name, justify="left" if name == "state" else "right")
    table.add_column("settings")
    for record in records:
        tested = metrics_of_test(record)
        words = describe_settings(json.loads(record.planned.settings))
        if record.message:
            words += f": {record.reason + ': ' if record.reason else ''}{record.message}"
        table.add_row(
            "best" if record is best else "",
            record.state.value,
            "" if record.reward is None else f"{record.reward:.4f}",
            *(f"{tested[name]:.4g}" if name in tested else "" for name in names),
            wording.duration(record.train_seconds) if record.finished_at else "",
            Text(words),
            style="green" if record is best else _STYLES.get(record.state, ""),
        )
    return table


def _measurements_table(measurements: Sequence[Measurement]) -> Table:
    names = list(dict.fromkeys(name for measurement in measurements for name in measurement.metrics))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("step", *names, "after"):
        table.add_column(name, justify="right")
    for measurement in measurements:
        values = [f"{measurement.metrics[name]:.4g}" if name in measurement.metrics else "" for name in names]
        table.add_row(str(measurement.step), *values, wording.duration(measurement.seconds))
    return table
