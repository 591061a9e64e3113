"""Workers that fail: they are tried again, later and later, and where none lives the others wait until one does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nas_operator.planning.worker_jobs import WorkerJob

_FIRST = timedelta(seconds=30)
_LONGEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Hold:
    """Slots that get no new workers for now.

    Attributes:
        failed: the Jobs that failed, the last one last. They stay, since their pods say why.
        retry_at: when a worker is to be tried again.
        canary: the Job that was made since, to see whether a worker can live by now. None: none yet.
        whole_pool: whether no worker lives, so that none is made but one that is tried. Otherwise the workers can
            live, and only the slots of those that failed wait, each for its own time.
    """

    failed: tuple[WorkerJob, ...]
    retry_at: datetime
    canary: WorkerJob | None
    whole_pool: bool


def find_hold(jobs: Sequence[WorkerJob], wanted: int, template: str, now: datetime) -> Hold | None:
    """Whether slots are to wait for a retry. All that this depends on is in the Jobs, and survives the operator.

    Failures of workers of another template do not count: what the user has changed is tried at once.

    Args:
        jobs: of the pool.
        wanted: how many workers it should have.
        template: hash of what its workers are made of now.
        now: UTC.
    """
    failures = failures_of(jobs, template, now)
    if not failures:
        return None
    standing = [job for job in jobs if job.live and job.draining_since is None]
    current = [job for job in standing if job.template == template]
    if any(job.has_settled(now) for job in current):
        missing = max(0, wanted - len(standing))
        waiting = [job for job in failures if _retry_at(job, now) > now]
        waiting = waiting[max(0, len(waiting) - missing) :]
        return Hold(tuple(waiting), min(_retry_at(job, now) for job in waiting), None, False) if waiting else None
    failed = failures[-1]
    since = [job for job in current if job.created_at and job.created_at > (failed.failed_at or now)]
    if len(standing) >= wanted and not since:
        return None
    return Hold((failed,), _retry_at(failed, now), since[0] if since else None, True)


def failures_of(jobs: Sequence[WorkerJob], template: str, now: datetime) -> list[WorkerJob]:
    """The Jobs of the template that have failed, the last one last."""
    failures = [job for job in jobs if job.state == "Failed" and not job.deleting and job.template == template]
    return sorted(failures, key=lambda job: (job.failed_at or now, job.name))


def _retry_at(failed: WorkerJob, now: datetime) -> datetime:
    return (failed.failed_at or now) + back_off(failed.retry)


def back_off(failures: int) -> timedelta:
    """How long to wait after a worker has failed, and that many before it: 30 s, doubling up to 10 min."""
    return min(_LONGEST, _FIRST * (1 << min(failures, 10)))
