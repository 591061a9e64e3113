"""`spec.finalTraining`: which trainings it asks for, and what it refuses."""

import pytest
from nas_api.spec import FinalTraining, NASSearchSpec, Trainer
from nas_api.spec.final_training import describe_settings, trainer_with, write_settings
from pydantic import ValidationError


def final(**fields: object) -> FinalTraining:
    return FinalTraining.model_validate(fields)


def test_without_a_grid_there_is_one_training_of_four_times_the_epochs_and_at_least_thirty() -> None:
    assert final().trainings(Trainer(epochs=50)) == [{"epochs": 200}]
    assert final().trainings(Trainer(epochs=2)) == [{"epochs": 30}]
    assert final(epochs=5).trainings(Trainer()) == [{"epochs": 5}]


def test_every_combination_is_trained_and_the_rest_is_as_in_the_trainer() -> None:
    grid = {"learningRate": [0.1, 0.2], "weightDecay": [0, 0.001], "decayEpoch": [7], "batchNormEpsilon": [0.01]}
    trainer = Trainer(epochs=3, batch_size=17)
    trainings = final(grid=grid).trainings(trainer)
    assert len({write_settings(settings) for settings in trainings}) == len(trainings) == 4

    last = trainer_with(trainer, trainings[-1])
    assert (last.optimizer.learning_rate, last.optimizer.weight_decay, last.batch_norm_epsilon) == (0.2, 0.001, 0.01)
    assert (last.optimizer.schedule, last.optimizer.decay_epoch) == ("Step", 7)
    assert (last.epochs, last.batch_size, last.optimizer.momentum) == (30, 17, 0.9)
    assert describe_settings(trainings[0]) == (
        "epochs 30, learningRate 0.1, weightDecay 0.0, decayEpoch 7.0, schedule Step, batchNormEpsilon 0.01"
    )


def test_parameters_of_a_task_of_ones_own_are_a_grid_too_and_keep_their_kinds() -> None:
    trainer = Trainer(task="mine:train", parameters={"width": 1, "depth": 2})
    trainings = final(grid={"parameters": {"width": [3, 4]}}).trainings(trainer)
    assert [trainer_with(trainer, settings).parameters for settings in trainings] == [
        {"width": 3, "depth": 2},
        {"width": 4, "depth": 2},
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"grid": {"parameters": {"width": [3]}}}, "are for a task of your own"),
        ({"top": 100, "repeats": 11}, "asks for 1,100 trainings"),
        ({"grid": {"learningRate": [-1]}}, "greater than 0"),
        ({"grid": {"learningRate": [0.1, 0.2, 0.10]}}, "learningRate lists a value twice: 0.1, 0.2, 0.1. To train it"),
        ({"grid": {"parameters": {"width": [3, 3]}}}, "width lists a value twice: 3, 3"),
        ({"maxWeightsSize": "large"}, "is not a quantity"),
    ],
)
def test_what_cannot_be_trained_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NASSearchSpec.model_validate({"finalTraining": fields})


def test_a_combination_that_is_no_training_is_named() -> None:
    trainer = {"epochs": 20, "optimizer": {"warmupEpochs": 10}}
    with pytest.raises(ValidationError, match=r"finalTraining with epochs 5: optimizer\.warmupEpochs \(10\) is more"):
        NASSearchSpec.model_validate({"trainer": trainer, "finalTraining": {"epochs": 5}})
