"""`spec.finalTraining`: the second stage of a search, in which the best architectures are trained to the end."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from nas_api.spec.base import Duration, Quantity, SpecModel
from nas_api.spec.discrete_space import ChoiceValue
from nas_api.spec.trainer import Trainer

Settings = dict[str, Any]
"""What a final training has other than `spec.trainer`, named and nested as there."""

# Trainings of one second stage: each takes many times as long as a trial.
_MOST_TRAININGS = 1000


class Grid(SpecModel):
    """Hyperparameters of the final training. Every combination of the values listed is trained, with each architecture.

    What has no list is as in `spec.trainer`.
    """

    learning_rate: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(default=(), max_length=16)
    """Values of `trainer.optimizer.learningRate`."""
    weight_decay: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(default=(), max_length=16)
    """Values of `trainer.optimizer.weightDecay`."""
    decay_epoch: tuple[Annotated[float, Field(gt=0, le=100_000)], ...] = Field(default=(), max_length=16)
    """Values of `trainer.optimizer.decayEpoch`, with the schedule Step."""
    batch_norm_epsilon: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(), max_length=16)
    """Values of `trainer.batchNormEpsilon`."""
    batch_size: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(default=(), max_length=16)
    """Values of `trainer.batchSize`."""
    parameters: dict[
        Annotated[str, Field(max_length=253)],
        Annotated[tuple[ChoiceValue, ...], Field(min_length=1, max_length=16, json_schema_extra={"uniqueItems": True})],
    ] = Field(default={}, max_length=16)
    """Values of each of `trainer.parameters` that is listed, for your own task."""

    @model_validator(mode="after")
    def _no_value_twice(self) -> Self:
        for path, values in self._lists().items():
            if len(set(values)) != len(values):
                listed = ", ".join(map(str, values))
                raise ValueError(
                    f"{path[-1]} lists a value twice: {listed}. To train it again, set finalTraining.repeats"
                )
        return self

    def combinations(self) -> Iterator[Settings]:
        """The settings of every combination, the last list running fastest."""
        for chosen in itertools.product(*self._axes()):
            settings: Settings = {}
            for path, value in chosen:
                *sections, name = path
                inner = settings
                for section in sections:
                    inner = inner.setdefault(section, {})
                inner[name] = value
                if name == "decayEpoch":
                    inner["schedule"] = "Step"
            yield settings

    @property
    def size(self) -> int:
        """Number of combinations."""
        return math.prod(map(len, self._axes()))

    def _axes(self) -> list[list[tuple[tuple[str, ...], Any]]]:
        return [[(path, value) for value in values] for path, values in self._lists().items() if values]

    def _lists(self) -> dict[tuple[str, ...], tuple[Any, ...]]:
        return {
            ("optimizer", "learningRate"): self.learning_rate,
            ("optimizer", "weightDecay"): self.weight_decay,
            ("optimizer", "decayEpoch"): self.decay_epoch,
            ("batchNormEpsilon",): self.batch_norm_epsilon,
            ("batchSize",): self.batch_size,
            **{("parameters", name): values for name, values in self.parameters.items()},
        }


class FinalTraining(SpecModel):
    """The second stage of a search (paper, section 4.1): its best architectures, trained to the end.

    It begins when the search has ended well, with the same workers, and the search has succeeded when it is done. Of
    the trainings of an architecture the one with the highest reward counts, so the choice is made by validation. Each
    is measured on the test set, which nothing before it opens, and the weights of the one that counts are kept. The
    policy learns nothing of it. With another `finalTraining` a search that has ended does the second stage again, as
    far as it has not been done. `trainer` may be edited meanwhile: it holds for the trainings that begin afterwards.
    """

    top: int = Field(default=1, ge=1, le=100)
    """How many architectures, those with the highest rewards."""
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Epochs of each training. Four times those of the search, at least 30, when absent."""
    grid: Grid = Grid()
    """Hyperparameters to try. Those of `spec.trainer` alone by default."""
    repeats: int = Field(default=1, ge=1, le=100)
    """How often each combination is trained, with another seed each time."""
    timeout: Duration | None = None
    """A training that takes longer, such as `12h`, is ended and counts as failed. No bound by default:
    `trainer.timeout` is that of trials."""
    max_weights_size: Quantity = "512Mi"
    """Weights, and other files that a task leaves, are kept beside the journal up to this size, for each training. What
    is larger is not kept, and the training says so. The journal's volume must hold `top` + 1 times as much, and what
    the workers are sending."""

    def trainings(self, trainer: Trainer) -> list[Settings]:
        """The settings of every training of an architecture, repeats left out.

        Args:
            trainer: `spec.trainer`.
        """
        return [{"epochs": self._epochs(trainer), **settings} for settings in self.grid.combinations()]

    def resolved(self, trainer: Trainer) -> dict[str, Any]:
        """All that it asks for as plain values, `epochs` among them: another one is another second stage."""
        return self.model_dump(mode="json", by_alias=True) | {"epochs": self._epochs(trainer)}

    def _epochs(self, trainer: Trainer) -> int:
        return self.epochs or max(30, 4 * trainer.epochs)

    def check(self, trainer: Trainer) -> None:
        """Raises ValueError if a training is impossible with `trainer`, or there are too many."""
        if self.grid.parameters and not trainer.is_user_task:
            raise ValueError(
                f"finalTraining.grid.parameters are for a task of your own, and trainer.task is {trainer.task}"
            )
        total = self.top * self.repeats * self.grid.size
        if total > _MOST_TRAININGS:
            raise ValueError(
                f"finalTraining asks for {total:,} trainings (top * repeats * combinations of the grid): "
                f"{_MOST_TRAININGS:,} are the most"
            )
        for settings in self.trainings(trainer):
            try:
                trainer_with(trainer, settings)
            except ValidationError as error:
                problem = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"finalTraining with {describe_settings(settings)}: {problem}") from None


def trainer_with(trainer: Trainer, settings: Mapping[str, Any]) -> Trainer:
    """`trainer` with other settings.

    Raises:
        ValidationError: there is no such trainer.
    """
    return Trainer.model_validate(_merged(trainer.model_dump(mode="json", by_alias=True), settings))


def write_settings(settings: Settings) -> str:
    """The settings as JSON, the same text for the same settings."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def describe_settings(settings: Mapping[str, Any]) -> str:
    """The settings in words: `epochs 60, learningRate 0.05`."""
    return ", ".join(f"{name} {value}" for name, value in _leaves(settings))


def _merged(value: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    for name, part in other.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, part) if isinstance(part, Mapping) and isinstance(inner, Mapping) else part
    return merged


def _leaves(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value
