"""Pools whose workers fail: one is tried again, later and later, and the others wait until it lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nas_operator.planning.worker_jobs import WorkerJob

_FIRST = timedelta(seconds=30)
_LONGEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Hold:
    """A pool makes no new workers.

    Attributes:
        failed: the Job that failed last. It stays, since its pod says why.
        retry_at: when a worker is to be tried again.
        canary: the Job that was made since, to see whether a worker can live by now. None: none yet.
    """

    failed: WorkerJob
    retry_at: datetime
    canary: WorkerJob | None


def find_hold(jobs: Sequence[WorkerJob], wanted: int, template: str, now: datetime) -> Hold | None:
    """Whether a pool is to wait for its retry. All that this depends on is in the Jobs, and survives the operator.

    Failures of workers of another template do not count: what the user has changed is tried at once.

    Args:
        jobs: of the pool.
        wanted: how many workers it should have.
        template: hash of what its workers are made of now.
        now: UTC.
    """
    failures = [job for job in jobs if job.state == "Failed" and not job.deleting and job.template == template]
    if not failures:
        return None
    failed = max(failures, key=lambda job: (job.failed_at or now, job.name))
    failed_at = failed.failed_at or now
    standing = [job for job in jobs if job.live and job.draining_since is None]
    since = [job for job in standing if job.template == template and job.created_at and job.created_at > failed_at]
    if any(job.has_settled(now) for job in since) or (len(standing) >= wanted and not since):
        return None
    return Hold(failed, failed_at + back_off(failed.retry), since[0] if since else None)


def back_off(failures: int) -> timedelta:
    """How long to wait after a worker has failed, and that many before it: 30 s, doubling up to 10 min."""
    return min(_LONGEST, _FIRST * (1 << min(failures, 10)))
