"""The status of a NASPool: how many workers there are, and whether they are what is wanted."""

from dataclasses import dataclass
from datetime import datetime

from nas_api.spec import Condition, NASPoolStatus
from pydantic import ValidationError

from nas_operator.names import POOL_LABEL, SEARCH_LABEL
from nas_operator.observed import Observed
from nas_operator.planning.conditions import Conditions
from nas_operator.planning.diagnosis.problem import Problem
from nas_operator.planning.diagnosis.worker_problem import refused_workers, worker_problem
from nas_operator.planning.objects import generation_of, status_of
from nas_operator.planning.pools import PoolState
from nas_operator.planning.slots import SlotPlan
from nas_operator.planning.stage import Stage

# Reasons of a pool that is on its way or where it should be. All others are problems.
NO_PROBLEM = frozenset({"WorkersReady", "WorkersStarting", "ScaledToZero", "Removed", *Stage})


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool as its status has it.

    Attributes:
        pool: as it is.
        slots: what is to be done about its Jobs.
        wanted: workers that it should have now.
        up: workers that are at work and are to stay.
        alive: workers that are at work.
        previous: its status as it was written last.
        ready: its condition.
        problem: why it is not ready, if something is wrong.
    """

    pool: PoolState
    slots: SlotPlan
    wanted: int
    up: int
    alive: int
    previous: NASPoolStatus
    ready: Condition
    problem: Problem | None

    def status(self, search: str) -> NASPoolStatus:
        """Its status."""
        return NASPoolStatus(
            observed_generation=generation_of(self.pool.observed) if self.pool.observed else 0,
            conditions=(self.ready,),
            replicas=sum(job.live for job in self.pool.jobs),
            ready_replicas=self.alive,
            selector=f"{SEARCH_LABEL}={search},{POOL_LABEL}={self.pool.name}",
        )


def wanted_workers(pool: PoolState, stage: Stage) -> int:
    """Workers that it should have now."""
    return pool.replicas if stage is Stage.RUNNING else 0


def report(observed: Observed, pool: PoolState, slots: SlotPlan, stage: Stage, now: datetime) -> PoolReport:
    """What is to be said of a pool."""
    leaving = {job.name for job in (*slots.draining, *slots.delete)}
    staying = [job for job in pool.jobs if job.live and job.name not in leaving]
    wanted = wanted_workers(pool, stage)
    up = min(wanted, sum(job.up for job in staying))
    previous = read_status(pool)
    problem = None
    if pool.spec is not None and (up < wanted or slots.hold is not None):
        problem = refused_workers(observed, pool.spec)
        if problem is None and observed.pods_listed:
            problem = worker_problem(observed, pool.spec, staying, wanted, slots.hold, now)
        elif problem is None:
            problem = _known_problem(previous)
    conditions = Conditions.after(previous.conditions, generation_of(pool.observed) if pool.observed else 0, now)
    ready = conditions.make("Ready", *_ready(pool, stage, wanted, up, len(slots.draining), problem))
    return PoolReport(pool, slots, wanted, up, sum(job.up and job.live for job in pool.jobs), previous, ready, problem)


def read_status(pool: PoolState) -> NASPoolStatus:
    """Its status as it was written last; an empty one if it cannot be read."""
    try:
        return NASPoolStatus.model_validate(status_of(pool.observed))
    except ValidationError:
        return NASPoolStatus()


def _known_problem(previous: NASPoolStatus) -> Problem | None:
    """What was found when pods were last looked at: it lasts until they are looked at again."""
    for condition in previous.conditions:
        if condition.type == "Ready" and condition.status == "False" and condition.reason not in NO_PROBLEM:
            return Problem(condition.reason, condition.message)
    return None


def _ready(
    pool: PoolState, stage: Stage, wanted: int, up: int, draining: int, problem: Problem | None
) -> tuple[bool, str, str]:
    going = f"; {workers(draining)} still to go" if draining else ""
    if pool.spec is None:
        return False, "Removed", f"spec.pools does not list {pool.name} any more{going}."
    if problem is not None:
        return False, problem.reason, problem.message
    if stage is not Stage.RUNNING:
        return True, stage, f"No workers are wanted: the search is {stage.lower()}{going}."
    if wanted == 0:
        return True, "ScaledToZero", f"No workers are wanted{going}."
    if up < wanted:
        return False, "WorkersStarting", f"{up} of {workers(wanted)} at work{going}."
    outdated = sum(job.template != pool.template for job in pool.jobs if job.live)
    rolling = f"; {outdated} of an earlier template to be replaced" if outdated else ""
    return True, "WorkersReady", f"{workers(wanted)} at work{going}{rolling}."


def workers(count: int) -> str:
    """`1 worker`, `2 workers`."""
    return f"{count} worker" if count == 1 else f"{count} workers"
