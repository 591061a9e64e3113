"""The reward of a trial, from its measurements."""

import math

import pytest
from nas_api.spec import Reward
from nas_controller.journal.journal import Measurement
from nas_controller.reward import NoRewardError, compute_reward


def series(*values: float, metric: str = "val_accuracy") -> list[Measurement]:
    return [Measurement(step, {metric: value}, float(step)) for step, value in enumerate(values, start=1)]


def test_the_default_is_the_papers_maximum_of_the_last_five_epochs_cubed() -> None:
    assert compute_reward(series(0.99, 0.5, 0.6, 0.7, 0.8, 0.75), Reward()) == pytest.approx(0.8**3)


def test_fewer_values_than_the_window_all_count() -> None:
    assert compute_reward(series(0.9, 0.5), Reward()) == pytest.approx(0.9**3)


def test_the_papers_reward_for_language_falls_with_the_cube_of_the_perplexity() -> None:
    spec = Reward(metric="val_perplexity", aggregate="Min", scale=80, exponent=-3)

    assert compute_reward(series(200, 120, 110, 115, metric="val_perplexity"), spec) == pytest.approx(80 / 110**3)


@pytest.mark.parametrize(("aggregate", "value"), [("Max", 4.0), ("Min", 2.0), ("Mean", 3.0), ("Last", 3.0)])
def test_aggregates(aggregate: str, value: float) -> None:
    spec = Reward.model_validate({"aggregate": aggregate, "window": 3, "exponent": 1})

    assert compute_reward(series(9.0, 2.0, 4.0, 3.0), spec) == pytest.approx(value)


def test_without_a_window_all_values_count() -> None:
    assert (
        compute_reward(
            series(9.0, 2.0, 4.0, 3.0, 1.0, 1.0, 1.0), Reward.model_validate({"window": "all", "exponent": 1})
        )
        == 9.0
    )


def test_values_that_are_not_the_metric_are_passed_over() -> None:
    measurements = [
        Measurement(1, {"val_accuracy": 0.5, "train_loss": 2.0}, 1.0),
        Measurement(2, {"train_loss": 1.0}, 2.0),
    ]

    assert compute_reward(measurements, Reward(exponent=1)) == 0.5


def test_a_metric_that_was_never_reported_names_what_was() -> None:
    with pytest.raises(NoRewardError, match=r"never reported 'val_accuracy'.*reported accuracy, loss") as caught:
        compute_reward([Measurement(1, {"loss": 1.0, "accuracy": 0.5}, 0.0)], Reward())
    assert caught.value.reason == "NoMetric"


def test_nothing_reported_says_what_to_call() -> None:
    with pytest.raises(NoRewardError, match=r"call report\(") as caught:
        compute_reward([], Reward())
    assert caught.value.reason == "NoMetric"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_in_the_window_that_is_not_finite_is_no_reward(value: float) -> None:
    with pytest.raises(NoRewardError) as caught:
        compute_reward(series(0.5, value, 0.6), Reward())
    assert caught.value.reason == "NonFiniteMetric"


def test_a_value_before_the_window_may_be_anything() -> None:
    assert compute_reward(series(math.nan, 0.1, 0.2, 0.3, 0.4, 0.5), Reward(exponent=1)) == 0.5


@pytest.mark.parametrize(
    ("value", "exponent"), [(0.0, -1.0), (1e200, 3.0), (-0.5, 0.5)], ids=["division by zero", "overflow", "complex"]
)
def test_a_transform_without_a_finite_result_is_no_reward(value: float, exponent: float) -> None:
    with pytest.raises(NoRewardError, match=r"see spec\.reward"):
        compute_reward(series(value), Reward(exponent=exponent))
