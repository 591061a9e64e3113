"""The learning rate over the epochs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_api.spec.trainer import Optimizer
from nas_child.training.schedule import learning_rate_factor


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("Constant", [1, 1, 1, 1, 1]),
        ("Cosine", [1, 0.8536, 0.5, 0.1464, 0]),
        ("Step", [1, 1, 0.1, 0.01, 0.01]),
    ],
)
def test_schedules_at_the_quarters_of_the_training(schedule: str, factors: list[float]) -> None:
    optimizer = Optimizer.model_validate({"schedule": schedule})
    for quarter, factor in enumerate(factors):
        assert learning_rate_factor(optimizer, quarter * 2, epochs=8) == pytest.approx(factor, abs=1e-4)


def test_a_decay_epoch_is_the_only_step() -> None:
    optimizer = Optimizer(schedule="Step", decay_epoch=3)
    assert [learning_rate_factor(optimizer, epoch, epochs=8) for epoch in (0, 2.9, 3, 7)] == [1, 1, 0.1, 0.1]


def test_the_warm_up_rises_linearly_and_the_schedule_has_what_remains() -> None:
    optimizer = Optimizer(schedule="Cosine", warmup_epochs=2)
    assert [learning_rate_factor(optimizer, epoch, epochs=6) for epoch in (0, 0.5, 1)] == [0, 0.25, 0.5]
    assert learning_rate_factor(optimizer, 2, epochs=6) == 1
    assert learning_rate_factor(optimizer, 4, epochs=6) == pytest.approx(0.5)
    assert learning_rate_factor(optimizer, 6, epochs=6) == pytest.approx(0)


@given(
    schedule=st.sampled_from(["Constant", "Cosine", "Step"]),
    warmup=st.floats(0, 100),
    epochs=st.integers(1, 50),
    part=st.floats(0, 1),
)
def test_the_factor_is_a_part(schedule: str, warmup: float, epochs: int, part: float) -> None:
    optimizer = Optimizer.model_validate({"schedule": schedule, "warmupEpochs": warmup})
    assert 0 <= learning_rate_factor(optimizer, part * epochs, epochs) <= 1
