"""The Jobs of one pool: which to make, which workers to ask to go, which Jobs to delete."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice, zip_longest

from nas_operator.planning.diagnosis.waiting import waits_for_room
from nas_operator.planning.retries import Hold, failures_of, find_hold
from nas_operator.planning.worker_jobs import WorkerJob


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What is to be done about the Jobs of a pool.

    Attributes:
        create: slots that get a Job, and how many have failed in a row before it.
        delete: Jobs that nobody needs, or that had their time.
        drain: Jobs whose workers are asked to go from now on.
        keep: Jobs whose workers were asked to go and are wanted again. If the controller has told a worker already,
            it goes when it has finished, and is replaced then.
        draining: all Jobs whose workers are on their way out, those of `drain` included.
        lost: Jobs to be deleted since their nodes are gone.
        hold: why slots get no new workers, if they do not.
        changes_at: when time alone makes another plan of this.
    """

    create: Mapping[int, int]
    delete: tuple[WorkerJob, ...]
    drain: tuple[WorkerJob, ...]
    keep: tuple[WorkerJob, ...]
    draining: tuple[WorkerJob, ...]
    lost: tuple[WorkerJob, ...]
    hold: Hold | None
    changes_at: datetime | None


def plan_slots(
    jobs: Sequence[WorkerJob], wanted: int, template: str, drain_timeout: timedelta, grows: bool, now: datetime
) -> SlotPlan:
    """What to do for a pool to have `wanted` workers of `template`.

    Args:
        jobs: that there are.
        wanted: workers.
        template: hash of what a worker is made of now.
        drain_timeout: how long a worker that should go may go on with its architecture.
        grows: whether Jobs may be made, and running workers be replaced.
        now: UTC.
    """
    hold = find_hold(jobs, wanted, template, now)
    lost = [job for job in jobs if job.live and job.is_lost(now)]
    live = [job for job in jobs if job.live and job not in lost]
    staying, doubles = _one_a_slot([job for job in live if job.draining_since is None], template)

    keep = _wanted_again(live, staying, wanted, template)
    staying += keep
    leaving = doubles + sorted(staying, key=lambda job: _reluctance(job, template))[: max(0, len(staying) - wanted)]
    gone = {job.name for job in leaving}
    staying = [job for job in staying if job.name not in gone]
    if grows:
        leaving += _outdated(staying, wanted, template, hold)

    kept = {job.name for job in keep}
    waiting = [job for job in live if job.draining_since is not None and job.name not in kept]
    overdue = [job for job in waiting if not job.started or _deadline(job, drain_timeout, now) <= now]
    delete = [
        *(job for job in jobs if _is_finished(job) and (hold is None or job not in hold.failed)),
        *lost,
        *overdue,
        *(job for job in leaving if not job.started),
    ]
    drain = [job for job in leaving if job.started]
    deleted = {job.name for job in overdue}
    draining = [job for job in waiting if job.name not in deleted] + drain
    changes = [_deadline(job, drain_timeout, now) for job in draining]
    changes += [hold.retry_at] if hold is not None and hold.canary is None else []
    return SlotPlan(
        create=_creations(jobs, wanted, template, hold, now) if grows else {},
        delete=tuple(delete),
        drain=tuple(drain),
        keep=tuple(keep),
        draining=tuple(draining),
        lost=tuple(lost),
        hold=hold,
        changes_at=min((time for time in changes if time > now), default=None),
    )


def _one_a_slot(jobs: Iterable[WorkerJob], template: str) -> tuple[list[WorkerJob], list[WorkerJob]]:
    """The Jobs to work with, and those whose slot another one has. An observation that lags can make such doubles."""
    chosen: dict[int, WorkerJob] = {}
    doubles = []
    for job in sorted(jobs, key=lambda job: (job.template != template, not job.started, job.name)):
        if job.slot is None or job.slot in chosen:
            doubles.append(job)
        else:
            chosen[job.slot] = job
    return list(chosen.values()), doubles


def _wanted_again(
    live: Iterable[WorkerJob], staying: Sequence[WorkerJob], wanted: int, template: str
) -> list[WorkerJob]:
    """Jobs that were to go and are wanted after all: first those whose worker has not been told yet."""
    taken = {job.slot for job in staying}
    candidates = [job for job in live if job.draining_since is not None and job.template == template]
    single, _ = _one_a_slot((job for job in candidates if job.slot not in taken), template)
    single.sort(key=lambda job: any(worker.draining for worker in job.workers))
    return single[: max(0, wanted - len(staying))]


def _reluctance(job: WorkerJob, template: str) -> tuple[bool, bool, float, bool, int]:
    """How loath to let a worker go: without a pod, idle, then those that have trained for the shortest."""
    return job.started, job.has_lease, job.seconds_of_lease, job.template == template, -(job.slot or 0)


def _outdated(staying: Sequence[WorkerJob], wanted: int, template: str, hold: Hold | None) -> list[WorkerJob]:
    """Workers of an earlier template that are to be replaced now: a tenth of the pool at once, and at least one.

    It goes on when the new ones are up. Those for which there is no room count for nothing once one of them has shown
    that the new template works: the pool may be larger than what the cluster has for it.
    """
    outdated = [job for job in staying if job.template != template]
    not_started = [job for job in outdated if not job.started]
    if hold is not None and hold.whole_pool:
        return not_started
    running = sorted((job for job in outdated if job.started), key=lambda job: (job.up, *_reluctance(job, template)))
    current = [job for job in staying if job.template == template]
    up = sum(job.up for job in current)
    without_room = sum(waits_for_room(job) for job in current) if up else 0
    under_way = max(0, wanted - len(running) - up - without_room)
    return not_started + running[: max(0, max(1, wanted // 10) - under_way)]


def _creations(
    jobs: Sequence[WorkerJob], wanted: int, template: str, hold: Hold | None, now: datetime
) -> dict[int, int]:
    """The lowest free slots for the workers that are missing, and how many have failed in a row before each of them.

    A place is free when its Job is gone, not before.
    """
    existing = sum(job.state != "Failed" and not (job.state == "Complete" and job.deleting) for job in jobs)
    missing = max(0, wanted - existing)
    tried = failures_of(jobs, template, now)
    if hold is not None and hold.whole_pool:
        missing = min(missing, 1 if hold.canary is None and now >= hold.retry_at else 0)
        tried = list(hold.failed)
    elif hold is not None:
        missing = max(0, missing - len(hold.failed))
        tried = [job for job in tried if job not in hold.failed]
    taken = {job.slot for job in jobs}
    free = islice((slot for slot in count() if slot not in taken), missing)
    return dict(zip_longest(free, (job.retry + 1 for job in tried[:missing]), fillvalue=0))


def _is_finished(job: WorkerJob) -> bool:
    return job.state != "Live" and not job.deleting


def _deadline(job: WorkerJob, drain_timeout: timedelta, now: datetime) -> datetime:
    return (job.draining_since or now) + drain_timeout
