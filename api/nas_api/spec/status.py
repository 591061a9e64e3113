"""`status` of `NASSearch` and `NASPool`: small, written by the operator, never by a user."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from nas_api.spec.base import SpecModel

Count = Annotated[int, Field(ge=0)]
# RFC 3339, as Kubernetes writes points in time.
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Message = Annotated[str, Field(max_length=1024)]


class StatusModel(SpecModel):
    """Base of what is read back from a cluster, perhaps written by a newer version: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusModel):
    """One aspect of an object's state (meta/v1 Condition)."""

    type: Annotated[str, Field(min_length=1, max_length=63)]
    """What is true or not: of a search Ready, ControllerAvailable, PoolsReady, Progressing, Suspended, Succeeded or
    Failed; of a pool Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is."""
    observed_generation: Count = 0
    """The `metadata.generation` that this was found at."""
    last_transition_time: Time
    """When `status` last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=253)]
    """Why, as one CamelCase word."""
    message: Message = ""
    """Why, for a person."""


class TrialCounts(StatusModel):
    """How many architectures are in which state."""

    finished: Count = 0
    """Succeeded, failed and stopped early together."""
    succeeded: Count = 0
    """Trained to the end."""
    failed: Count = 0
    """Could not be trained."""
    stopped_early: Count = 0
    """Ended before their time, and measured."""
    running: Count = 0
    """In training at a worker."""
    pending: Count = 0
    """Waiting for a worker."""


class TrialSummary(StatusModel):
    """One finished trial."""

    id: Count
    """Trials are numbered from 1 in the order in which the policy proposed them."""
    reward: float
    """Its reward."""
    digest: Annotated[str, Field(max_length=64)]
    """Of its architecture: equal for equal networks."""
    parameters: Count | None = None
    """Trainable parameters of its network, if known."""
    flops: Count | None = None
    """Floating-point operations of a forward pass of one sample, if known."""
    finished_at: Time | None = None
    """When its result came in."""


class WorkerCounts(StatusModel):
    """Workers of all pools."""

    wanted: Count = 0
    """By the pools' `replicas`."""
    alive: Count = 0
    """Heard of lately by the controller."""
    busy: Count = 0
    """With an architecture in training."""


class FinalTrainingStatus(StatusModel):
    """How far the second stage is (`spec.finalTraining`)."""

    trainings: Count = 0
    """Trainings that it is made of."""
    finished: Count = 0
    """Those that have a result."""
    best_trial: Count | None = None
    """The trial whose final training has the highest reward, which is made on the validation samples."""
    metrics: dict[Annotated[str, Field(max_length=253)], float] = Field(default={}, max_length=16)
    """What that training has measured on the test set."""


class NASSearchStatus(StatusModel):
    """How far a search is. There is no phase: look at the conditions."""

    observed_generation: Count = 0
    """The `metadata.generation` that this status is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Ready, ControllerAvailable, PoolsReady, Progressing, Suspended, Succeeded and Failed."""
    trials: TrialCounts = TrialCounts()
    """Architectures by state."""
    workers: WorkerCounts = WorkerCounts()
    """Workers of all pools."""
    updates: Count = 0
    """Updates of the policy so far."""
    best_trial: TrialSummary | None = None
    """The trial of the highest reward."""
    top_trials: Annotated[tuple[TrialSummary, ...], Field(max_length=10)] = ()
    """The ten trials of the highest rewards, best first."""
    final_training: FinalTrainingStatus | None = None
    """The second stage, once it has begun."""
    started_at: Time | None = None
    """When the controller first ran."""
    finished_at: Time | None = None
    """When the search ended."""


class NASPoolStatus(StatusModel):
    """How many workers a pool has."""

    observed_generation: Count = 0
    """The `metadata.generation` that this status is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Ready: all workers that are wanted are there."""
    replicas: Count = 0
    """Workers that exist: what `/scale` shows."""
    ready_replicas: Count = 0
    """Workers that the controller has heard of lately."""
    selector: Annotated[str, Field(max_length=1024)] = ""
    """Label selector of the pool's pods, for autoscalers."""
