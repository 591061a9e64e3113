"""What is wrong with the workers of a pool."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from nas_api.spec import Pool

from nas_operator.names import POOL_LABEL
from nas_operator.observed import Object, Observed
from nas_operator.planning.diagnosis.pod_problem import Part, pod_problem, refusal_problem
from nas_operator.planning.diagnosis.problem import Problem, sentence, shortened
from nas_operator.planning.objects import format_time
from nas_operator.planning.retries import Hold
from nas_operator.planning.worker_jobs import WorkerJob

# To import torch, to fetch data and to connect takes less, mostly.
_PATIENCE = timedelta(minutes=10)
# Of a message, for what this module says itself. The rest is for the words of others.
_OWN_WORDS = 160


def refused_workers(observed: Observed, pool: Pool) -> Problem | None:
    """Why the API server makes no NASPool or Jobs of the pool, by its answers to the last plan."""
    for refusal in observed.refusals:
        if refusal.kind in ("Job", "NASPool") and refusal.labels.get(POOL_LABEL) == pool.name:
            words = f"{refusal.kind} {refusal.name}: {refusal.message}"
            return refusal_problem("WorkersRefused", words, _part(pool).resources_field)
    return None


def worker_problem(
    observed: Observed, pool: Pool, jobs: Sequence[WorkerJob], wanted: int, hold: Hold | None, now: datetime
) -> Problem | None:
    """What most of those workers have that are not at work, how many these are, and what to do.

    Args:
        observed: with pods and warnings.
        pool: its entry in the manifest.
        jobs: those that count towards `wanted`.
        wanted: how many workers it should have.
        hold: why slots get no new workers, if they do not.
        now: UTC.
    """
    part = _part(pool)
    warnings = _by_name(observed.warnings)
    if hold is not None and hold.whole_pool:
        return _held(hold, sum(not job.up for job in jobs) + wanted - len(jobs), wanted, warnings, part, now)
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    if hold is not None:
        for failed in hold.failed:
            failure = _failure(failed, f"Tried again at {format_time(hold.retry_at)}.", warnings, part, now)
            found[failure.reason].append(failure)
    for job in jobs:
        if not job.up and (problem := _problem_of(job, warnings, part, now) or _silence(job, now)):
            found[problem.reason].append(problem)
    if not found:
        return None
    most = max(found.values(), key=len)
    return _of_workers(most[0], len(most), wanted)


def _held(
    hold: Hold, missing: int, wanted: int, warnings: Mapping[str, list[Object]], part: Part, now: datetime
) -> Problem:
    next_try = (
        "A worker is being tried." if hold.canary is not None else f"Tried again at {format_time(hold.retry_at)}."
    )
    return _of_workers(_failure(hold.failed[-1], next_try, warnings, part, now), missing, wanted)


def _failure(job: WorkerJob, next_try: str, warnings: Mapping[str, list[Object]], part: Part, now: datetime) -> Problem:
    problem = _problem_of(job, warnings, part, now) or Problem("WorkerFailed", job.failure)
    words = shortened(problem.message, 1024 - _OWN_WORDS)
    return Problem(problem.reason, f"{sentence(words)} {next_try}")


def _problem_of(job: WorkerJob, warnings: Mapping[str, list[Object]], part: Part, now: datetime) -> Problem | None:
    if job.suspended and not job.pods:
        return Problem("Queued", "Waits for its queue to admit it.")
    names = (job.name, *(str(pod["metadata"]["name"]) for pod in job.pods[-1:]))
    return pod_problem(job.pods, [warning for name in names for warning in warnings.get(name, ())], part, now)


def _silence(job: WorkerJob, now: datetime) -> Problem | None:
    """A pod that runs, and a controller that has not heard of it."""
    if not (job.controller_knows and job.runs_since(now - _PATIENCE)):
        return None
    return Problem(
        "WorkersSilent",
        f"Runs for more than {_PATIENCE.seconds // 60} minutes and has not registered with the controller: it still "
        "loads its data (spec.trainer.dataset), or a NetworkPolicy keeps it from the controller. See "
        f"`kubectl logs job/{job.name}`.",
    )


def _of_workers(problem: Problem, count: int, wanted: int) -> Problem:
    return Problem(problem.reason, shortened(f"{count} of {wanted} workers: {problem.message}"))


def _part(pool: Pool) -> Part:
    return Part("Worker", "spec.trainer.image or spec.pools[].image", "spec.pools[].resources", pool.resources)


def _by_name(warnings: Sequence[Object]) -> dict[str, list[Object]]:
    found: defaultdict[str, list[Object]] = defaultdict(list)
    for warning in warnings:
        found[str((warning.get("involvedObject") or {}).get("name") or "")].append(warning)
    return dict(found)
