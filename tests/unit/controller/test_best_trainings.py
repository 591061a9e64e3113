"""Which final training counts, and how it is told."""

from nas_controller.best_trainings import (
    best_of_all,
    best_trainings,
    describe_training,
    last_metrics,
    metrics_of_test,
    without_series,
)
from nas_controller.journal.journal import FinalTrainingRecord, Measurement, PlannedTraining, TrialState

SERIES = (
    Measurement(1, {"val_accuracy": 0.5, "warmup": 1.0}, 2.0),
    Measurement(2, {"val_accuracy": 0.75, "test_accuracy": 0.625}, 4.0),
)


def record(training: int, trial: int, reward: float | None) -> FinalTrainingRecord:
    planned = PlannedTraining(training, trial, '{"epochs":60,"optimizer":{"learningRate":0.1}}', 0)
    state = TrialState.FAILED if reward is None else TrialState.SUCCEEDED
    return FinalTrainingRecord(planned, True, state, reward=reward, measurements=SERIES)


def test_of_each_trial_the_highest_reward_counts_and_among_equals_the_earlier_training() -> None:
    records = [record(5, 1, 0.5), record(2, 1, 0.5), record(3, 1, -1.0), record(4, 7, None), record(1, 8, -2.0)]
    assert {trial: best.planned.training for trial, best in best_trainings(records).items()} == {1: 2, 8: 1}


def test_the_best_of_all_has_the_highest_reward_which_may_be_below_zero() -> None:
    best = best_of_all([record(3, 1, -2.0), record(2, 2, -1.0), record(1, 3, None), record(4, 4, -1.0)])
    assert best is not None
    assert best.planned.training == 2
    assert best_of_all([record(1, 3, None)]) is None


def test_without_its_series_a_training_says_the_same() -> None:
    long = record(1, 3, 0.5)
    short = without_series(long)
    assert short.measurements == (
        Measurement(2, {"val_accuracy": 0.75, "warmup": 1.0, "test_accuracy": 0.625}, 4.0),
    )  # fmt: skip
    assert last_metrics(short) == last_metrics(long)
    assert metrics_of_test(short) == {"test_accuracy": 0.625}
    assert describe_training(short) == "trial 3: test_accuracy 0.625 (epochs 60, learningRate 0.1)"
    failed = FinalTrainingRecord(long.planned, True, TrialState.FAILED)
    assert without_series(failed) == failed
