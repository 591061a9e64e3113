"""Jobs of the learner, and their results. An `Engine` makes them, one at a time, and takes their results in."""

from dataclasses import dataclass

from nas_controller.journal.journal import SampledTrial
from nas_controller.learner import SampledBatch
from nas_controller.ledger import Batch


@dataclass(frozen=True, slots=True)
class SampleJob:
    """To sample a batch of `count` architectures at the given depth."""

    batch: int
    first_trial: int
    count: int
    depth: int


@dataclass(frozen=True, slots=True)
class LearnJob:
    """To make the update of a complete batch."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Sampled:
    """The result of a `SampleJob`."""

    batch: SampledBatch
    trials: tuple[SampledTrial, ...]
