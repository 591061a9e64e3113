"""`Journal`: the durable memory of a search. One small interface; every backend passes one conformance suite.

A search writes records. One call of `write` is one transaction: after a crash all of its records are there or none.
Writes become durable in the order in which they were made, and nothing may be acknowledged to anybody before that.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from nas_controller.history import History
from nas_controller.proposal import Proposal


class JournalError(Exception):
    """The journal cannot be opened or is not this search's; the message says where it is and what to do."""


class JournalInUseError(JournalError):
    """Another process has the journal open."""


class StorageError(JournalError):
    """The storage does not take what must be written: it is full, or fails. It may be mended while nobody looks."""


class TrialState(StrEnum):
    """Where a trial stands. The last three are final: the trial has a result."""

    PENDING = "Pending"
    LEASED = "Leased"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED_EARLY = "StoppedEarly"

    @property
    def outcome(self) -> str:
        """The name of a final state in metrics, logs and traces: `succeeded`, `failed` or `stopped_early`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One `report(step, **metrics)` of a trial's task, `seconds` after the trial began."""

    step: int
    metrics: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class ReportedPoint:
    """A point of a trial's learning curve: what a measurement alone would have earned."""

    step: int
    reward: float
    stops: bool = False  # the trial was told to stop here


@dataclass(frozen=True, slots=True)
class SampledTrial:
    """An architecture that the policy proposed, on its way to a worker."""

    trial: int
    batch: int
    proposal: Proposal
    architecture: str  # canonical JSON
    digest: str
    parameters: int = 0  # 0: not known
    flops: int = 0


# Records. -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ControllerStarted:
    """The controller has started: from now on leases carry this epoch."""

    epoch: int
    at: float  # Unix seconds, as all times here


@dataclass(frozen=True, slots=True)
class BatchSampled:
    """A replica has sampled a batch of architectures at one version of the policy."""

    batch: int
    version: int
    trials: tuple[SampledTrial, ...]
    at: float


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """A training of the second stage (`spec.finalTraining`): of a trial's architecture, to the end."""

    training: int  # from 1
    trial: int
    settings: str  # JSON: what it has other than `spec.trainer`
    repeat: int  # from 0


@dataclass(frozen=True, slots=True)
class FinalTrainingsPlanned:
    """The second stage is to be these trainings from now on, and no others. Those known before keep their results."""

    trainings: tuple[PlannedTraining, ...]


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """A worker holds a trial from now on. A lease that ended without a result may be taken up again."""

    lease: str
    trial: int
    worker: str
    request_id: str
    attempt: int
    at: float
    training: int = 0  # it is for this final training of the trial; 0: for the trial itself


@dataclass(frozen=True, slots=True)
class TrialReported:
    """A trial in training has come further. Kept until it has a result, or another lease begins with it anew.

    A step that is there already is left as it is.
    """

    lease: str
    trial: int
    points: tuple[ReportedPoint, ...]


@dataclass(frozen=True, slots=True)
class FirstTrained:
    """A trial has had its cheap first training. A promoted one is pending again, for a full one; its lease ends."""

    trial: int
    lease: str
    reward: float
    promoted: bool
    train_seconds: float
    device_seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """A lease ended without a result and its trial is pending again. `reason`: Released, Lost or Expired."""

    lease: str
    trial: int
    reason: str
    at: float
    training: int = 0


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """A trial has its result. Ends `lease`, also when that has expired but no other lease holds the trial.

    The reward is finite.
    """

    trial: int
    sequence: int  # from 1, in the order in which trials finished
    lease: str | None
    worker: str
    state: TrialState
    reward: float
    reason: str
    message: str
    measurements: tuple[Measurement, ...]
    train_seconds: float
    device_seconds: float
    at: float
    replay_of: int | None = None  # the trial whose result it is given without being trained


@dataclass(frozen=True, slots=True)
class FinalTrainingFinished:
    """A final training has its result. Ends `lease`, as `TrialFinished` does."""

    training: int
    lease: str | None
    worker: str
    state: TrialState  # Succeeded or Failed
    reward: float | None  # None: it failed
    reason: str
    message: str
    measurements: tuple[Measurement, ...]
    train_seconds: float
    device_seconds: float
    weights_bytes: int  # kept with it, for as long as it is the best of its trial; 0: none
    at: float


@dataclass(frozen=True, slots=True)
class PolicyUpdated:
    """One update: consumes a batch and makes a version of the policy, all in one record.

    The backend keeps the snapshots of `kept_versions` (this update's among them) and only the newest `state`.
    """

    version: int
    batch: int
    lag: int
    baseline: float | None
    entropy: float | None
    gradient_norm: float | None
    mean_reward: float
    snapshot: bytes
    state: bytes
    kept_versions: frozenset[int]
    at: float


@dataclass(frozen=True, slots=True)
class SearchStateChanged:
    """The search runs, is suspended or has ended: a name of `Summary.State`.

    To run again after FAILED forgives the consecutive failures.
    """

    state: str
    reason: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class FactLearned:
    """Something to know after a restart, such as the shape of the data. Replaces the value of its key."""

    key: str
    value: str


Record = (
    ControllerStarted
    | BatchSampled
    | LeaseGranted
    | TrialReported
    | FirstTrained
    | LeaseEnded
    | TrialFinished
    | FinalTrainingsPlanned
    | FinalTrainingFinished
    | PolicyUpdated
    | SearchStateChanged
    | FactLearned
)

Committed = Callable[[Sequence[Record], float], None]
"""Is told of records that became durable together, and how many seconds that took."""

# What is read back. -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenLease:
    """A lease that was held when the controller stopped."""

    lease: str
    trial: int
    worker: str
    request_id: str
    attempt: int
    granted_at: float  # Unix seconds
    training: int = 0


@dataclass(frozen=True, slots=True)
class EndedLease:
    """A lease that has ended. `reason`: Finished, Released, Lost or Expired."""

    trial: int
    worker: str
    reason: str
    training: int = 0


@dataclass(frozen=True, slots=True)
class LeaseSpan:
    """The time for which a worker has held a trial, or a final training. Times are Unix seconds.

    A lease that was taken up again after it had ended is one span, from its first beginning to its last end.
    """

    trial: int
    training: int  # 0: of the trial itself
    worker: str
    pool: str  # empty: the lease names none
    granted_at: float
    ended_at: float | None  # None: held
    ended: str  # Finished, Released, Lost or Expired; empty: held
    device_seconds: float  # of the result that it brought, which counts a first training too; 0: it brought none


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch whose update has not been made. `rewards` has those of its trials that have finished."""

    batch: int
    version: int
    trials: tuple[SampledTrial, ...]
    rewards: dict[int, float]
    attempts: dict[int, int]  # times that a lease was lost or expired, of each of its trials
    last_sequence: int = 0  # of those of its trials that have finished; 0: none has
    incomplete: frozenset[int] = frozenset()  # those of its trials that were stopped early


@dataclass(frozen=True, slots=True)
class Recovered:
    """Everything that a controller needs to go on where the last one stopped."""

    epoch: int = 0  # of the last start; 0: never started
    version: int = 0
    state: bytes = b""
    snapshots: dict[int, bytes] = field(default_factory=dict)
    batches: tuple[OpenBatch, ...] = ()  # by number
    leases: tuple[OpenLease, ...] = ()
    last_batch: int = 0
    last_trial: int = 0
    last_sequence: int = 0
    search_state: str = "RUNNING"
    search_reason: str = ""
    search_message: str = ""
    started_at: float | None = None  # of the first start
    counts: dict[TrialState, int] = field(default_factory=dict)  # of finished trials
    consecutive_failures: int = 0
    device_seconds: float = 0.0
    leases_expired: int = 0
    replayed: int = 0  # of the trials that did not fail
    replayed_in_a_row: int = 0  # since one was last trained
    reports: dict[int, tuple[ReportedPoint, ...]] = field(default_factory=dict)  # of trials without a result, by step
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainedResult:
    """The result of a trial that was trained, to its end or until it was stopped: `state` says which."""

    digest: str
    trial: int
    state: TrialState
    reward: float


@dataclass(frozen=True, slots=True)
class FirstTraining:
    """The cheap first training of a trial. `full_reward`: of the full one; None: there is none, or it has not ended."""

    trial: int
    reward: float
    promoted: bool
    train_seconds: float
    device_seconds: float
    full_reward: float | None = None


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as a person may ask for it."""

    sampled: SampledTrial
    policy_version: int
    state: TrialState
    attempts: int = 0  # number of its newest lease; 0: it was never leased
    worker: str = ""
    sequence: int = 0
    reward: float | None = None
    reason: str = ""
    message: str = ""
    measurements: tuple[Measurement, ...] = ()
    train_seconds: float = 0.0
    finished_at: float = 0.0
    replay_of: int | None = None


@dataclass(frozen=True, slots=True)
class FinalTrainingRecord:
    """A final training as a person may ask for it."""

    planned: PlannedTraining
    wanted: bool  # by the newest plan
    state: TrialState
    lost: int = 0  # workers that were lost with it
    worker: str = ""
    reward: float | None = None
    reason: str = ""
    message: str = ""
    measurements: tuple[Measurement, ...] = ()
    train_seconds: float = 0.0
    weights_bytes: int = 0
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """An update as a curve shows it: `PolicyUpdated` without the parameters. A statistic that was NaN is None."""

    version: int
    batch: int
    lag: int
    baseline: float | None
    entropy: float | None
    gradient_norm: float | None
    mean_reward: float
    trials_finished: int  # when it was made
    at: float


class JournalReader(ABC):
    """What can be asked of the memory of a search. Thread-safe; sees only what is durable."""

    @abstractmethod
    def recover(self) -> Recovered:
        """Where the search stands."""

    @abstractmethod
    def trials(self, *, after: int = 0, limit: int = 1000, measurements: bool = False) -> list[TrialRecord]:
        """Trials in the order of their numbers, those greater than `after`."""

    @abstractmethod
    def finished(self, *, after: int = 0, limit: int = 1000, measurements: bool = False) -> list[TrialRecord]:
        """Finished trials in the order in which they finished, with a sequence greater than `after`."""

    @abstractmethod
    def best(self, *, offset: int = 0, limit: int = 10, measurements: bool = False) -> list[TrialRecord]:
        """Trials that succeeded, highest reward first, the one that finished earlier first among equals.

        Replayed ones are left out: they are the same architectures once more.
        """

    @abstractmethod
    def trial(self, number: int) -> TrialRecord | None:
        """One trial, with its measurements."""

    @abstractmethod
    def trained_results(self) -> list[TrainedResult]:
        """Of all trials that did not fail and were not replayed, in the order in which they finished."""

    @abstractmethod
    def first_trainings(self) -> list[FirstTraining]:
        """Of all trials, in the order in which they ended."""

    @abstractmethod
    def final_trainings(self) -> list[FinalTrainingRecord]:
        """Of all trials, by number, those that a newer plan has no place for included."""

    @abstractmethod
    def ended_lease(self, lease: str) -> EndedLease | None:
        """What became of a lease. None: it is still held, or unknown."""

    @abstractmethod
    def lease_spans(self, *, after: int = 0, limit: int | None = None) -> list[LeaseSpan]:
        """Who has trained, and when: all leases of `limit` trials, those leased with a number greater than `after`.

        By trial, and of a trial in the order in which they were granted.
        """

    @abstractmethod
    def fact(self, key: str) -> str:
        """What was written down under a key last; empty: nothing."""

    @abstractmethod
    def history(self) -> History:
        """What has been learnt and what is open, all of it at one instant."""

    @abstractmethod
    def updates(self, *, after: int = 0, limit: int = 100_000) -> Sequence[UpdateRecord]:
        """Updates in order, with a version greater than `after`."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the storage."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Journal(JournalReader):
    """Durable memory of one search, owned by one process. Thread-safe.

    A record that contradicts those before it is a bug of the caller: a trial that finishes twice, a batch that is
    learned from twice or before all of its trials have finished, a result for a trial that another lease holds, a
    sequence or version that is not the next one. Its write fails with `JournalError`, and so do all later ones, which
    may build on it.
    """

    @abstractmethod
    def write(self, *records: Record) -> Future[None]:
        """Writes `records` as one transaction, after all writes before it. Without records it waits for those.

        Returns at once; the future is done when they are durable, and cannot be cancelled. A disk that is full stalls
        the journal and everything behind it, nothing is lost, and it goes on when there is room: see `problem`.
        """

    @abstractmethod
    def problem(self) -> str:
        """Why nothing can be written now, in words for a person; empty when all is well."""

    @abstractmethod
    def close(self) -> None:
        """Makes everything written durable and lets go of the storage.

        Raises:
            StorageError: the last writes could not be made durable, the disk being full; their futures say so too.
            JournalError: a write contradicted those before it.
        """
