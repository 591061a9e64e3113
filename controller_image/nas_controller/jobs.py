"""Jobs of the learner and their results: what goes between the engine of a search and the process that knows torch."""

from dataclasses import dataclass
from typing import Protocol

from nas_controller.data_shape import DataShape
from nas_controller.history import History
from nas_controller.journal.journal import Recovered, SampledTrial
from nas_controller.proposal import Proposal, Rewarded


@dataclass(frozen=True, slots=True)
class SampleJob:
    """To sample batches of the given sizes and depth. Their numbers and those of their trials follow the first ones."""

    first_batch: int
    first_trial: int
    sizes: tuple[int, ...]
    depth: int
    data_shape: DataShape | None  # None: parameters and FLOPs are not counted


@dataclass(frozen=True, slots=True)
class SampledBatch:
    """Architectures that one controller replica sampled at one version of the policy."""

    batch: int
    version: int
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Sampled:
    """The result of a `SampleJob`: each batch with its trials."""

    batches: tuple[tuple[SampledBatch, tuple[SampledTrial, ...]], ...]


@dataclass(frozen=True, slots=True)
class FinishedBatch:
    """A batch whose trials have all finished, sampled at `version`."""

    batch: int
    version: int
    rewarded: tuple[Rewarded, ...]


@dataclass(frozen=True, slots=True)
class LearnJob:
    """To make an update from each of the batches, one after the other."""

    batches: tuple[FinishedBatch, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one update was like. `None` where the algorithm has no such thing."""

    baseline: float | None = None
    entropy: float | None = None  # nats a decision, mean over the batch
    gradient_norm: float | None = None  # before clipping


@dataclass(frozen=True, slots=True)
class Update:
    """One update of the policy. Its gradient was computed at version `version - 1 - lag`."""

    batch: int
    version: int  # that it made
    lag: int
    statistics: Statistics
    snapshot: bytes
    state: bytes
    kept_versions: frozenset[int]  # that are still needed


@dataclass(frozen=True, slots=True)
class Learned:
    """The result of a `LearnJob`."""

    updates: tuple[Update, ...]


class JobRunner(Protocol):
    """What does the jobs of a search, one at a time: here (`LocalJobRunner`) or in a process of its own."""

    def uses_history(self) -> bool:
        """Whether `restore` needs the history of the search."""

    def restore(self, recovered: Recovered, history: History) -> None:
        """Goes to where the journal says that the search stands.

        Raises:
            ValueError: the journal's policy is not of this manifest.
        """

    def run(self, job: SampleJob | LearnJob) -> Sampled | Learned:
        """Does a job.

        Raises:
            NoAcceptableArchitectureError: nothing that the policy samples keeps the constraints.
        """
