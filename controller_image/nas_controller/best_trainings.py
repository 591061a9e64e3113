"""Of the final trainings of an architecture the one that counts, and of these the best."""

import json
from collections.abc import Iterable
from dataclasses import replace

from nas_api.spec.final_training import describe_settings

from nas_controller.journal.journal import FinalTrainingRecord, Measurement, TrialState

_TEST = "test_"


def best_trainings(records: Iterable[FinalTrainingRecord]) -> dict[int, FinalTrainingRecord]:
    """The training with the highest reward of each trial that has one that succeeded, the earlier one among equals.

    The reward is made of what was measured on the validation samples: nothing is chosen by the test set.
    """
    best: dict[int, FinalTrainingRecord] = {}
    for record in records:
        if record.state is not TrialState.SUCCEEDED or record.reward is None:
            continue
        if counts_before(record.reward, record.planned.training, best.get(record.planned.trial)):
            best[record.planned.trial] = record
    return best


def counts_before(reward: float, training: int, other: FinalTrainingRecord | None) -> bool:
    """Whether a training counts rather than another one of its trial that has succeeded: among equals the earlier."""
    if other is None or other.reward is None:
        return True
    return reward > other.reward or (reward == other.reward and training < other.planned.training)


def best_of_all(records: Iterable[FinalTrainingRecord]) -> FinalTrainingRecord | None:
    """The training with the highest reward of all, the earlier one among equals. None: none has succeeded."""
    best = sorted(best_trainings(records).values(), key=lambda record: record.planned.training)
    return max(best, key=lambda record: record.reward or 0.0, default=None)


def last_metrics(record: FinalTrainingRecord) -> dict[str, float]:
    """The metrics as they were measured last."""
    return {name: value for measurement in record.measurements for name, value in measurement.metrics.items()}


def without_series(record: FinalTrainingRecord) -> FinalTrainingRecord:
    """The record with the metrics as they were measured last alone: a series may be long."""
    if not record.measurements:
        return record
    last = record.measurements[-1]
    return replace(record, measurements=(Measurement(last.step, last_metrics(record), last.seconds),))


def metrics_of_test(record: FinalTrainingRecord) -> dict[str, float]:
    """Those of them that were measured on the test set, by their names."""
    return {name: value for name, value in last_metrics(record).items() if name.startswith(_TEST)}


def describe_training(record: FinalTrainingRecord) -> str:
    """What a training has reached, in words: `trial 7: test_accuracy 0.9731, test_loss 0.101 (epochs 60)`."""
    metrics = metrics_of_test(record) or last_metrics(record)
    measured = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    return f"trial {record.planned.trial}: {measured} ({describe_settings(json.loads(record.planned.settings))})"
