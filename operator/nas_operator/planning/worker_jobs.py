"""`WorkerJob`: the Job of one worker, with its pods and with what the controller says of the worker."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec.base import parse_duration

from nas_operator.names import (
    DRAIN_TIMEOUT_ANNOTATION,
    DRAINING_ANNOTATION,
    POOL_LABEL,
    RETRY_ANNOTATION,
    SLOT_LABEL,
    TEMPLATE_LABEL,
)
from nas_operator.observed import Object, Observed
from nas_operator.planning.objects import (
    annotations_of,
    condition_of,
    is_deleting,
    is_lost,
    labels_of,
    name_of,
    parse_time,
    status_of,
    whole_number,
)

# A pod that has run for so long has not failed at its start. For when there is no controller to say so.
_SETTLED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """One Job.

    Attributes:
        name: of the Job.
        uid: of the Job.
        pool: that it is of.
        slot: its place in the pool. None: its label holds no number.
        template: hash of what the worker was made of.
        state: whether it has finished.
        deleting: whether its deletion has begun.
        suspended: whether a queue (Kueue) has not admitted it yet, or not any more.
        ready: whether its pod runs.
        created_at: when it was made.
        failed_at: when it failed.
        draining_since: since when its worker is asked to go.
        drain_timeout: of its pool when it was made, if its annotation tells.
        retry: see `RETRY_ANNOTATION`.
        failure: the Job controller's words about it, with state Failed.
        workers: what the controller has heard of lately: one, but for the moments after a pod was lost.
        pods: the oldest first; none when they were not listed.
        controller_knows: whether there is a controller, and it would have heard of its worker if that lived.
    """

    name: str
    uid: str
    pool: str
    slot: int | None
    template: str
    state: Literal["Live", "Complete", "Failed"] = "Live"
    deleting: bool = False
    suspended: bool = False
    ready: bool = False
    created_at: datetime | None = None
    failed_at: datetime | None = None
    draining_since: datetime | None = None
    drain_timeout: timedelta | None = None
    retry: int = 0
    failure: str = ""
    workers: tuple[pb.Worker, ...] = ()
    pods: tuple[Object, ...] = field(default=(), repr=False)
    controller_knows: bool = False

    @property
    def live(self) -> bool:
        """Whether it is there to work, now or later."""
        return self.state == "Live" and not self.deleting

    @property
    def started(self) -> bool:
        """Whether there may be a worker. To delete the Job could cut its training short."""
        return self.ready or bool(self.workers) or any(_phase(pod) == "Running" for pod in self.pods)

    @property
    def up(self) -> bool:
        """Whether its worker is at work, as far as anybody can tell."""
        return bool(self.workers) if self.controller_knows else self.ready

    def is_lost(self, now: datetime) -> bool:
        """Whether its pod is on a node that does not answer any more, as far as pods are listed."""
        return bool(self.pods) and is_lost(self.pods[-1], now)

    def has_settled(self, now: datetime) -> bool:
        """Whether its worker has got over its start: it has registered, or nobody can tell and it runs on."""
        return self.up and (bool(self.workers) or self.runs_since(now - _SETTLED))

    def runs_since(self, time: datetime) -> bool:
        """Whether its pod has run since then, as far as pods are listed."""
        return any(_runs_since(pod, time) for pod in self.pods)

    @property
    def seconds_of_lease(self) -> float:
        """How long its worker has trained its present architecture; 0 when it trains none."""
        return max((worker.seconds_in_state for worker in self.workers if worker.trial_id), default=0.0)

    @property
    def has_lease(self) -> bool:
        """Whether its worker trains an architecture."""
        return any(worker.trial_id for worker in self.workers)

    def undrained(self) -> tuple[str, ...]:
        """Ids of its workers that the controller does not say are asked to go, perhaps since it does not know them."""
        told = {worker.worker_id for worker in self.workers if worker.draining}
        ids = {worker.worker_id for worker in self.workers} | {
            name_of(pod) for pod in self.pods if _phase(pod) in ("Pending", "Running")
        }
        return tuple(sorted(ids - told))


def worker_jobs(observed: Observed, lease_duration: timedelta, now: datetime) -> dict[str, list[WorkerJob]]:
    """The Jobs of a search by pool, in the order of their slots.

    Args:
        observed: with what the controller says of workers.
        lease_duration: in which a worker that lives speaks to its controller.
        now: UTC.
    """
    restarted_at = _restarted_at(observed.summary, lease_duration, now)
    workers: defaultdict[str, list[pb.Worker]] = defaultdict(list)
    for worker in observed.summary.workers if observed.summary else ():
        if worker.alive:
            workers[worker.worker_id.rpartition("-")[0]].append(worker)
    pods: defaultdict[str, list[Object]] = defaultdict(list)
    for name, pod in observed.pods.items():
        pods[name.rpartition("-")[0]].append(pod)
    jobs: defaultdict[str, list[WorkerJob]] = defaultdict(list)
    for name, job in observed.jobs.items():
        own = [pod for pod in pods.get(name, ()) if _is_of(pod, job)]
        read = _read(job, workers.get(name, []), own, observed.summary is not None, restarted_at)
        jobs[read.pool].append(read)
    for of_pool in jobs.values():
        of_pool.sort(key=lambda job: (-1 if job.slot is None else job.slot, job.name))
    return dict(jobs)


def _restarted_at(summary: pb.Summary | None, lease_duration: timedelta, now: datetime) -> datetime | None:
    """When the controller was started anew. None: long ago, so that it has heard of every worker; or never."""
    # A controller of an earlier version does not say how long it has been up.
    if summary is None or summary.epoch < 2 or not summary.HasField("uptime_seconds"):
        return None
    uptime = timedelta(seconds=summary.uptime_seconds)
    return now - uptime if uptime < lease_duration else None


def _read(
    job: Object, workers: list[pb.Worker], pods: list[Object], has_summary: bool, restarted_at: datetime | None
) -> WorkerJob:
    labels, annotations, status = labels_of(job), annotations_of(job), status_of(job)
    failed, complete = condition_of(job, "Failed"), condition_of(job, "Complete")
    created_at = parse_time(job["metadata"].get("creationTimestamp"))
    # A worker that an earlier start of the controller knew may not have spoken to this one yet.
    may_be_unheard = restarted_at is not None and created_at is not None and created_at <= restarted_at
    return WorkerJob(
        name=name_of(job),
        uid=str(job["metadata"].get("uid") or ""),
        pool=labels.get(POOL_LABEL, ""),
        slot=whole_number(labels.get(SLOT_LABEL)),
        template=labels.get(TEMPLATE_LABEL, ""),
        state="Failed" if failed else "Complete" if complete else "Live",
        deleting=is_deleting(job),
        suspended=bool((job.get("spec") or {}).get("suspend")),
        ready=bool(status.get("ready")),
        created_at=created_at,
        failed_at=parse_time(failed.get("lastTransitionTime")) if failed else None,
        draining_since=parse_time(annotations.get(DRAINING_ANNOTATION)),
        drain_timeout=_duration(annotations.get(DRAIN_TIMEOUT_ANNOTATION)),
        retry=whole_number(annotations.get(RETRY_ANNOTATION), 0) or 0,
        failure=str(failed.get("message") or failed.get("reason") or "") if failed else "",
        workers=tuple(workers),
        controller_knows=has_summary and (bool(workers) or not may_be_unheard),
        pods=tuple(sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""))),
    )


def _duration(text: str | None) -> timedelta | None:
    try:
        return parse_duration(text) if text else None
    except ValueError:
        return None


def _is_of(pod: Object, job: Object) -> bool:
    """Whether it is a pod of this very Job, and not of an earlier one of its name."""
    owners = [owner for owner in pod["metadata"].get("ownerReferences") or () if owner.get("kind") == "Job"]
    return not owners or any(owner.get("uid") == job["metadata"].get("uid") for owner in owners)


def _phase(pod: Object) -> str:
    return "" if is_deleting(pod) else str(status_of(pod).get("phase") or "")


def _runs_since(pod: Object, time: datetime) -> bool:
    starts = [
        parse_time(((container.get("state") or {}).get("running") or {}).get("startedAt"))
        for container in status_of(pod).get("containerStatuses") or ()
    ]
    return _phase(pod) == "Running" and any(start is not None and start <= time for start in starts)
