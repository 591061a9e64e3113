"""The tables of a report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_api.spec import Reward
from nas_api.spec.final_training import describe_settings
from nas_controller.best_trainings import best_trainings, last_metrics, metrics_of_test
from nas_controller.journal.journal import FinalTrainingRecord, TrialRecord, TrialState

from nas_cli import wording
from nas_cli.reporting.facts import Fact
from nas_cli.reporting.pools import PoolUse
from nas_cli.reporting.savings import savings
from nas_cli.reporting.trade_off import candidates, parameters, pareto_front, train_seconds
from nas_cli.search_results import metric_of

_FRONT = 20  # trials of a front, those with the highest rewards
_TRAININGS = 50


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    is_number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def trial_facts(record: TrialRecord, reward: Reward) -> list[Fact]:
    """What is known of one of the best trials."""
    metric = metric_of(record, reward)
    return [
        Fact("reward", f"{record.reward:.4f}"),
        *([] if metric is None else [Fact(reward.metric, f"{metric:.4g}")]),
        *([Fact("parameters", f"{record.sampled.parameters:,}")] if record.sampled.parameters else []),
        *([Fact("FLOPs", wording.count(record.sampled.flops))] if record.sampled.flops else []),
        Fact("trained", wording.took(record)),
    ]


def fronts(finished: Sequence[TrialRecord]) -> list[Table]:
    """The Pareto fronts."""
    tables = []
    for name, cost in (("parameters", parameters), ("training time", train_seconds)):
        front = pareto_front(candidates(finished, cost), cost)
        if front:
            columns = [Column("trial"), Column("reward"), Column("parameters"), Column("training time")]
            rows = [
                [
                    str(record.sampled.trial),
                    f"{record.reward:.4f}",
                    f"{record.sampled.parameters:,}" if record.sampled.parameters else "not known",
                    wording.duration(record.train_seconds),
                ]
                for record in front[: -_FRONT - 1 : -1]
            ]
            of_all = f", the {_FRONT} best of {len(front)}" if len(front) > _FRONT else ""
            tables.append(Table(f"Pareto front of reward against {name}{of_all}", columns, rows))
    return tables


def pool_table(uses: Sequence[PoolUse], costs: Mapping[str, float], currency: str) -> Table:
    """What the workers of each pool did, and what that has cost."""
    columns = [Column("pool", is_number=False)] + [
        Column(name) for name in ("workers", "trainings", "worker hours", "without result", "device hours")
    ]
    rows = [
        [
            use.pool or "not known", str(use.workers), f"{use.trainings:,}", _hours(use.busy),
            f"{use.without_result:,}" + (f" ({_hours(use.fruitless)} h)" if use.without_result else ""),
            _hours(use.device),
        ]
        for use in uses
    ]  # fmt: skip
    if costs:
        columns.append(Column(currency))
        for row, use in zip(rows, uses, strict=True):
            row.append(f"{costs[use.pool]:,.2f}" if use.pool in costs else "no price")
    return Table("What the workers did", columns, rows)


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.1f}" if hours >= 100 else f"{hours:#.3g}" if hours else "0"


def saved(finished: Sequence[TrialRecord]) -> list[str]:
    """What was not trained, a sentence each."""
    found = savings(finished)
    sentences = []
    if found.replayed:
        took = wording.duration(found.replayed_seconds)
        sentences.append(
            f"{wording.number(found.replayed, 'trial')} had the architecture of an earlier one, and with it its "
            f"result, which had taken {took} to train."
        )
    if found.stopped:
        about = (
            ""
            if found.stopped_seconds is None
            else " About "
            f"{wording.duration(found.stopped_seconds)} more would have been trained, had each gone on for as long as "
            "one that is trained to its end takes in the mean."
        )
        sentences.append(f"{wording.number(found.stopped, 'trial')} stopped early.{about}")
    if found.not_promoted:
        sentences.append(f"{wording.number(found.not_promoted, 'trial')} had a cheap first training alone.")
    return sentences


def failure_table(finished: Sequence[TrialRecord]) -> Table | None:
    """Why trials failed. None: none has."""
    failed = [record for record in finished if record.state is TrialState.FAILED]
    if not failed:
        return None
    newest = {record.reason: record for record in failed}
    rows = [
        [reason, str(count), str(newest[reason].sampled.trial), newest[reason].message]
        for reason, count in Counter(record.reason for record in failed).most_common()
    ]
    columns = [Column("reason", is_number=False), Column("trials"), Column("the last"), Column("it said", False)]
    return Table("Trials that failed", columns, rows)


def final_table(records: Sequence[FinalTrainingRecord]) -> Table | None:
    """The trainings of the second stage, best first. None: there is none."""
    wanted = [record for record in records if record.wanted or record.finished_at]
    if not wanted:
        return None
    best = best_trainings(records)
    ranked = sorted(wanted, key=lambda r: (-(r.reward if r.reward is not None else -1e300), r.planned.training))
    names = list(dict.fromkeys(name for record in ranked for name in metrics_of_test(record) or last_metrics(record)))
    columns = [Column("trial"), Column("settings", False), Column("state", False), Column("reward")]
    rows = [
        [
            str(record.planned.trial),
            describe_settings(json.loads(record.planned.settings)),
            record.state.value + (", counts" if best.get(record.planned.trial) is record else ""),
            "" if record.reward is None else f"{record.reward:.4f}",
            *(f"{measured[name]:.4g}" if name in measured else "" for name in names),
            wording.duration(record.train_seconds) if record.finished_at else "",
        ]
        for record in ranked[:_TRAININGS]
        for measured in [last_metrics(record)]
    ]
    more = f", the first {_TRAININGS} of {len(ranked)}" if len(ranked) > _TRAININGS else ""
    return Table(f"Final trainings{more}", [*columns, *map(Column, names), Column("took")], rows)


def trained_table(trained: Sequence[Mapping[str, Any]]) -> Table | None:
    """What `nas train` has trained. None: nothing."""
    if not trained:
        return None
    names = list(dict.fromkeys(name for metrics in trained for name in metrics if name.startswith("test_")))
    rows = [
        [
            str(metrics["trial"]),
            str(metrics["epochs"]),
            *(f"{metrics[name]:.4g}" if name in metrics else "" for name in names),
            wording.duration(metrics["seconds"]),
        ]
        for metrics in trained
    ]
    return Table("Trained by nas train", [*map(Column, ("trial", "epochs", *names, "took"))], rows)
