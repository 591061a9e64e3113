"""`plan`: from what is observed of a search to what is to be done for it.

It is a function of its arguments alone: it has no memory, no clock and no connection, and whatever it needs to know of
the past is in the cluster. So an operator that is killed at any instant is followed by one that goes on with it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from nas_api.manifest.problems import format_path
from nas_api.spec import NASSearch, NASSearchStatus
from nas_api.spec.base import parse_duration
from pydantic import ValidationError

from nas_operator.actions import (
    Action,
    Annotate,
    Create,
    Delete,
    DrainWorkers,
    Emit,
    IssueCertificate,
    Plan,
    WriteStatus,
)
from nas_operator.names import DRAINING_ANNOTATION, RETRY_ANNOTATION, best_name
from nas_operator.observed import Object, Observed
from nas_operator.planning import pool_status, search_status
from nas_operator.planning.controller import has_read_manifest, plan_best, plan_controller
from nas_operator.planning.diagnosis.controller_problem import controller_runs
from nas_operator.planning.diagnosis.problem import Problem, shortened
from nas_operator.planning.events import plan_events
from nas_operator.planning.objects import format_time, generation_of, is_deleting, name_of
from nas_operator.planning.pool_status import PoolReport
from nas_operator.planning.pools import PoolState, plan_pools, pool_states
from nas_operator.planning.slots import SlotPlan, plan_slots
from nas_operator.planning.stage import Stage, Verdict, controller_goes_at, find_verdict, plan_state
from nas_operator.planning.status_writes import StatusWrites
from nas_operator.planning.worker_jobs import worker_jobs
from nas_operator.resources.certificates import plan_certificates
from nas_operator.resources.worker import build_job
from nas_operator.settings import Settings

# What is known to be wrong is looked at again after this long: to list pods and warnings is dear.
_LOOK_AGAIN = timedelta(seconds=30)
# When the next look is to tell what is wrong.
_SOON = timedelta(seconds=1)


def plan(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """What to do for a search now. When all is as it should be, nothing.

    Args:
        observed: what there is of it.
        settings: of the operator.
        now: UTC.
    """
    resync = timedelta(seconds=settings.resync_seconds)
    if is_deleting(observed.search):
        return Plan((), look_closer=False, again_after=resync)  # what it owns goes with it
    try:
        document = {key: value for key, value in observed.search.items() if key != "status"}
        search = NASSearch.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return Plan(tuple(_refuse(observed.search, error, now)), look_closer=False, again_after=resync)
    return _plan(search, observed, settings, now)


def _plan(search: NASSearch, observed: Observed, settings: Settings, now: datetime) -> Plan:
    generation, previous = generation_of(observed.search), search_status.read_status(observed.search)
    settled = has_read_manifest(search, observed, settings)
    problem = search_status.known_problem(search, observed, previous, now)
    runs = controller_runs(observed)
    verdict = find_verdict(search, generation, previous, observed.summary, settled, runs, problem, now)
    goes_at = controller_goes_at(search, verdict, generation)

    jobs = worker_jobs(observed, parse_duration(search.spec.controller.lease.duration), now)
    pools = pool_states(search, observed, previous, jobs, settings)
    slots = [_slots(pool, verdict, now) for pool in pools]
    reports = [
        pool_status.report(observed, pool, slot_plan, verdict.stage, now)
        for pool, slot_plan in zip(pools, slots, strict=True)
    ]
    if goes_at is not None and goes_at <= now and _is_needed(search, observed, previous, pools):
        goes_at = None
    stopped = goes_at is not None and goes_at <= now and observed.summary is None
    status = search_status.search_status(search, observed, previous, verdict, reports, problem, stopped, now)
    writes = StatusWrites(observed.statuses_written, timedelta(seconds=settings.status_seconds), now)

    certificates = plan_certificates(search, observed.secrets, now, settings.certificate_lifetime)
    # After the pools, with which they go: a plan that is cut short leaves none without its pool.
    of_pools = [action for action in certificates if isinstance(action, IssueCertificate) and action.identity.pool]

    actions: list[Action] = [
        *(action for action in certificates if action not in of_pools),
        *plan_controller(search, observed, settings, goes_at, now),
        *plan_pools(search, pools, observed.secrets),
        *of_pools,
        *plan_state(verdict, observed.summary),
        *_retire(slots, verdict, observed, now),
        *(Delete("Job", job.name, job.uid) for slot_plan in slots for job in slot_plan.delete),
        *_make_workers(search, pools, slots, settings),
        *(plan_best(search, observed) if verdict.stage is Stage.ENDED else ()),
        *plan_events(previous, status, reports),
        *_write_pools(search, reports, writes),
        *writes.plan("NASSearch", search.metadata.name, previous, status),
    ]
    look_closer = _should_look_closer(observed, reports, stopped)
    if look_closer and _is_explained(observed, reports, problem):
        changed = any(not isinstance(action, WriteStatus | Emit) for action in actions)
        looked_at = now if observed.pods_listed else observed.pods_listed_at
        look_closer = changed or looked_at is None or now - looked_at >= _LOOK_AGAIN
    times = [goes_at, writes.due_at, *(slot_plan.changes_at for slot_plan in slots)]
    waits = [time - now for time in times if time is not None and time > now]
    waits += _waits(observed, reports, verdict, problem, look_closer, stopped, settings)
    return Plan(tuple(actions), look_closer, again_after=min(waits))


def _refuse(search: Object, error: ValidationError, now: datetime) -> Iterator[Emit | WriteStatus]:
    """Nothing else is touched for a manifest that cannot be used, such as one that an older CRD let pass."""
    problems = "; ".join(f"{format_path(detail['loc'])}: {detail['msg']}" for detail in error.errors(include_url=False))
    previous, status = search_status.read_status(search), search_status.invalid_status(search, problems, now)
    if status != previous:
        if all(condition.reason != "InvalidSpec" for condition in previous.conditions):
            yield Emit("Warning", "InvalidSpec", shortened(problems))
        yield WriteStatus(
            "NASSearch", name_of(search), status.model_dump(mode="json", by_alias=True, exclude_none=True)
        )


def _slots(pool: PoolState, verdict: Verdict, now: datetime) -> SlotPlan:
    wanted = pool_status.wanted_workers(pool, verdict.stage)
    return plan_slots(pool.jobs, wanted, pool.template, pool.drain_timeout, verdict.grows, now)


def _is_needed(search: NASSearch, observed: Observed, previous: NASSearchStatus, pools: Sequence[PoolState]) -> bool:
    """Whether a search that has ended still needs its controller: for workers, or for the best architecture."""
    if any(job.live for pool in pools for job in pool.jobs):
        return True
    if observed.summary is not None:
        return any(plan_best(search, observed))
    runs = observed.stateful_set is not None and observed.stateful_set["spec"].get("replicas") != 0
    return runs and previous.best_trial is not None and best_name(search.metadata.name) not in observed.config_maps


def _retire(
    slots: Sequence[SlotPlan], verdict: Verdict, observed: Observed, now: datetime
) -> Iterator[Annotate | DrainWorkers]:
    """Marks the workers that should go, and asks them to.

    The marks are in the cluster and so outlive operator and controller, which forgets whom it has asked.
    """
    for slot_plan in slots:
        for job in slot_plan.drain:
            yield Annotate("Job", job.name, {DRAINING_ANNOTATION: format_time(now)})
        for job in slot_plan.keep:
            yield Annotate("Job", job.name, {DRAINING_ANNOTATION: None})
    # Of a search that is suspended or has ended the controller retires every worker.
    workers = [id_ for slot_plan in slots for job in slot_plan.draining for id_ in job.undrained()]
    if workers and observed.summary is not None and verdict.stage is Stage.RUNNING:
        yield DrainWorkers(tuple(workers))


def _make_workers(
    search: NASSearch, pools: Sequence[PoolState], slots: Sequence[SlotPlan], settings: Settings
) -> Iterator[Create]:
    for pool, slot_plan in zip(pools, slots, strict=True):
        if pool.spec is None:
            continue
        for slot, failures in slot_plan.create.items():
            job = build_job(search, pool.spec, slot, pool.image, settings)
            if failures:
                retry = {RETRY_ANNOTATION: str(failures)}
                annotations = job["metadata"].get("annotations", {}) | retry
                job = job | {"metadata": job["metadata"] | {"annotations": annotations}}
            yield Create(job)


def _write_pools(search: NASSearch, reports: Sequence[PoolReport], writes: StatusWrites) -> Iterator[WriteStatus]:
    for report in reports:
        observed = report.pool.observed
        if observed is not None and not is_deleting(observed):
            yield from writes.plan("NASPool", name_of(observed), report.previous, report.status(search.metadata.name))


def _should_look_closer(observed: Observed, reports: Sequence[PoolReport], stopped: bool) -> bool:
    """Whether pods and warnings can tell more: something is not there, or nobody knows who is to go."""
    return (
        (observed.summary is None and not stopped)
        or any(report.up < report.wanted or report.slots.hold is not None for report in reports)
        or any(not job.workers for report in reports for job in report.slots.draining)
    )


def _is_explained(observed: Observed, reports: Sequence[PoolReport], problem: Problem | None) -> bool:
    """Whether the last look at pods has told what is wrong, wherever something is."""
    return (
        (observed.summary is not None or problem is not None)
        and all(report.problem is not None for report in reports if report.up < report.wanted)
        and all(job.workers for report in reports for job in report.slots.draining)
    )


def _waits(
    observed: Observed,
    reports: Sequence[PoolReport],
    verdict: Verdict,
    problem: Problem | None,
    look_closer: bool,
    stopped: bool,
    settings: Settings,
) -> Iterator[timedelta]:
    """How long nothing need be done, for each reason that there is to do something."""
    yield timedelta(seconds=settings.resync_seconds)
    poll = timedelta(seconds=settings.poll_seconds)
    runs = verdict.stage in (Stage.RUNNING, Stage.REOPENED)
    if runs or any(report.pool.jobs for report in reports) or (observed.summary is None and not stopped):
        yield poll
    # The pod that workers wait for is not watched.
    wait_for_pod = observed.summary is None and verdict.stage is Stage.RUNNING and not verdict.grows and problem is None
    if look_closer and (not observed.pods_listed or wait_for_pod):
        yield min(_SOON, poll)
