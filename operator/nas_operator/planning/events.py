"""Events about a search, for `kubectl describe`: each when something changes, once."""

from collections.abc import Iterator, Sequence

from nas_api.spec import Condition, NASSearchStatus

from nas_operator.actions import Emit
from nas_operator.planning import search_status
from nas_operator.planning.diagnosis.pod_problem import lost_pod
from nas_operator.planning.diagnosis.problem import shortened
from nas_operator.planning.objects import generation_of
from nas_operator.planning.pool_status import PoolReport, workers


def plan_events(previous: NASSearchStatus, status: NASSearchStatus, reports: Sequence[PoolReport]) -> Iterator[Emit]:
    """What has changed since the statuses were written last, for a person.

    Args:
        previous: status of the search as it was written last.
        status: of the search now.
        reports: of its pools.
    """
    yield from _of_search(previous, status)
    for report in reports:
        yield from _of_pool(report)


def _of_search(previous: NASSearchStatus, status: NASSearchStatus) -> Iterator[Emit]:
    before = {condition.type: condition for condition in previous.conditions}
    after = {condition.type: condition for condition in status.conditions}

    available = after["ControllerAvailable"]
    if _changed(before.get("ControllerAvailable"), available):
        if available.status == "True":
            yield Emit("Normal", "ControllerStarted", available.message)
        elif available.reason not in search_status.NO_PROBLEM:
            yield Emit("Warning", available.reason, available.message)

    if _began(before.get("Succeeded"), after["Succeeded"]):
        yield Emit("Normal", "Succeeded", after["Succeeded"].message or "The search has succeeded.")
    if _began(before.get("Failed"), after["Failed"]):
        yield Emit("Warning", "Failed", after["Failed"].message or "The search has failed.")

    suspended, was = after["Suspended"], before.get("Suspended")
    if _began(was, suspended):
        yield Emit("Normal", "Suspended", suspended.message)
    ended = any(after[kind].status == "True" for kind in ("Succeeded", "Failed"))
    if was is not None and was.reason != suspended.reason == "NotSuspended" and not ended:
        yield Emit("Normal", "Resumed", "The search is not suspended any more.")


def _of_pool(report: PoolReport) -> Iterator[Emit]:
    pool, name = report.pool, report.pool.name
    was = next((condition for condition in report.previous.conditions if condition.type == "Ready"), None)
    generation = generation_of(pool.observed) if pool.observed else 0
    if pool.spec is not None and 0 < report.previous.observed_generation < generation:
        yield Emit("Normal", "PoolScaled", f"Pool {name}: {workers(pool.replicas)} wanted, {report.alive} at work.")
    if report.slots.drain:
        going = workers(len(report.slots.drain))
        yield Emit("Normal", "WorkersDraining", f"Pool {name}: {going} to finish an architecture and to go.")
    if report.slots.lost:
        problem, count = lost_pod(report.slots.lost[0].pods[-1]), workers(len(report.slots.lost))
        yield Emit("Warning", problem.reason, f"Pool {name}: {count} made anew. {problem.message}")
    if pool.observed is not None and _changed(was, report.ready):
        message = shortened(f"Pool {name}: {report.ready.message}")
        if report.problem is not None:
            yield Emit("Warning", report.problem.reason, message)
        elif report.ready.reason == "WorkersReady":
            yield Emit("Normal", "PoolReady", message)


def _began(before: Condition | None, after: Condition) -> bool:
    return after.status == "True" and (before is None or before.status != "True")


def _changed(before: Condition | None, after: Condition) -> bool:
    return before is None or (before.status, before.reason) != (after.status, after.reason)
