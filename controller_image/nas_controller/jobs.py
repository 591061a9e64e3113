"""Jobs of the learner, and their results. An `Engine` makes them, one at a time, and takes their results in."""

from dataclasses import dataclass

from nas_controller.journal.journal import SampledTrial
from nas_controller.learner import SampledBatch
from nas_controller.ledger import Batch


@dataclass(frozen=True, slots=True)
class SampleJob:
    """To sample batches of the given sizes and depth. Their numbers and those of their trials follow the first ones."""

    first_batch: int
    first_trial: int
    sizes: tuple[int, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class LearnJob:
    """To make the update of a complete batch."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Sampled:
    """The result of a `SampleJob`: each batch with its trials."""

    batches: tuple[tuple[SampledBatch, tuple[SampledTrial, ...]], ...]
