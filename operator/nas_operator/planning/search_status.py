"""The status of a NASSearch: conditions, counts and the best trials."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import (
    Condition,
    FinalTrainingStatus,
    NASSearch,
    NASSearchStatus,
    TrialCounts,
    TrialSummary,
    WorkerCounts,
)
from pydantic import ValidationError

from nas_operator.observed import Object, Observed
from nas_operator.planning.conditions import Conditions
from nas_operator.planning.diagnosis.controller_problem import controller_problem
from nas_operator.planning.diagnosis.problem import Problem
from nas_operator.planning.objects import format_time, generation_of, status_of
from nas_operator.planning.pool_status import PoolReport, workers
from nas_operator.planning.stage import Stage, Verdict

_TOP = 10
# Of the final training that is best. A task of a user's own may report many.
_MOST_METRICS = 16
# Reasons of a controller that is on its way or where it should be. All others are problems.
NO_PROBLEM = frozenset({"Available", "Starting", "Stopped"})


def read_status(search: Object) -> NASSearchStatus:
    """Its status as it was written last; an empty one if it cannot be read."""
    try:
        return NASSearchStatus.model_validate(status_of(search))
    except ValidationError:
        return NASSearchStatus()


def invalid_status(search: Object, message: str, now: datetime) -> NASSearchStatus:
    """The status of a search whose manifest cannot be used. What else was known of it stays."""
    previous = read_status(search)
    ready = Conditions.after(previous.conditions, generation_of(search), now).make(
        "Ready", False, "InvalidSpec", message
    )
    others = tuple(condition for condition in previous.conditions if condition.type != "Ready")
    return previous.model_copy(update={"observed_generation": generation_of(search), "conditions": (ready, *others)})


def search_status(
    search: NASSearch,
    observed: Observed,
    previous: NASSearchStatus,
    verdict: Verdict,
    reports: Sequence[PoolReport],
    problem: Problem | None,
    controller_stopped: bool,
    now: datetime,
) -> NASSearchStatus:
    """Its status.

    Args:
        search: its manifest.
        observed: what there is.
        previous: its status as it was written last.
        verdict: how it stands.
        reports: of its pools.
        problem: of the controller, see `known_problem`.
        controller_stopped: whether the controller has been sent away, the search having ended long ago.
        now: UTC.
    """
    summary, generation = observed.summary, generation_of(observed.search)
    conditions = Conditions.after(previous.conditions, generation, now)
    controller = _controller(search, observed, problem, controller_stopped)
    available = conditions.make("ControllerAvailable", *controller)
    pools = conditions.make("PoolsReady", *_pools(reports))
    succeeded, failed = (_end(conditions, verdict, kind, summary) for kind in ("Succeeded", "Failed"))
    suspended = conditions.make("Suspended", *_suspended(verdict, reports, summary))
    progressing = conditions.make("Progressing", *_progressing(verdict, reports, available, summary))
    ready = conditions.make("Ready", *_ready(verdict, available, pools, progressing, succeeded, failed, suspended))
    numbers = previous if summary is None else _numbers(summary)
    return NASSearchStatus(
        observed_generation=generation,
        conditions=(ready, available, pools, progressing, suspended, succeeded, failed),
        trials=numbers.trials,
        workers=WorkerCounts(
            wanted=sum(report.wanted for report in reports),
            alive=sum(report.alive for report in reports),
            busy=sum(worker.alive and worker.trial_id > 0 for worker in summary.workers) if summary else 0,
        ),
        updates=numbers.updates,
        best_trial=numbers.best_trial,
        top_trials=numbers.top_trials,
        final_training=numbers.final_training,
        started_at=previous.started_at or (format_time(now) if summary is not None else None),
        finished_at=_finished_at(previous, verdict),
    )


def _finished_at(previous: NASSearchStatus, verdict: Verdict) -> str | None:
    if verdict.stage is Stage.REOPENED:
        return previous.finished_at
    return format_time(verdict.ended_at) if verdict.ended_at is not None else None


def known_problem(search: NASSearch, observed: Observed, previous: NASSearchStatus, now: datetime) -> Problem | None:
    """What is wrong with the controller: what was found when pods were last looked at lasts until the next look."""
    problem = controller_problem(search, observed, now)
    if problem is None and observed.summary is None and not observed.pods_listed:
        for before in previous.conditions:
            known = before.type == "ControllerAvailable" and before.status == "False"
            if known and before.reason not in NO_PROBLEM:
                return Problem(before.reason, before.message)
    return problem


def _controller(search: NASSearch, observed: Observed, problem: Problem | None, stopped: bool) -> tuple[bool, str, str]:
    if stopped:
        ttl = search.spec.controller.ttl_after_finished
        return False, "Stopped", f"The search ended more than {ttl} ago (spec.controller.ttlAfterFinished)."
    if problem is None and observed.summary is not None:
        return True, "Available", "The controller answers."
    if problem is not None:
        return False, problem.reason, problem.message
    return False, "Starting", "The controller is starting."


def _pools(reports: Sequence[PoolReport]) -> tuple[bool, str, str]:
    listed = [report for report in reports if report.pool.spec is not None]
    # Something that is wrong is told before what is merely on its way.
    unready = sorted((r for r in listed if r.ready.status != "True"), key=lambda r: r.problem is None)
    if unready:
        return False, unready[0].ready.reason, f"Pool {unready[0].pool.name}: {unready[0].ready.message}"
    reasons = {report.ready.reason for report in listed}
    reason = reasons.pop() if len(reasons) == 1 else "WorkersReady"
    return True, reason, " ".join(f"Pool {report.pool.name}: {report.ready.message}" for report in listed)


def _end(conditions: Conditions, verdict: Verdict, kind: str, summary: pb.Summary | None) -> Condition:
    before = conditions.previous.get(kind)
    if verdict.stage is Stage.REOPENED and before is not None:
        # Only its controller can say that it goes on.
        return before
    if verdict.stage is Stage.ENDED and verdict.ended == kind:
        if summary is None and before is not None:
            return before
        reason, message = (summary.reason, summary.message) if summary is not None else ("", "")
        ended = conditions.make(kind, True, reason or kind, message)
        # Of the manifest that it has ended by: with another it might go on.
        return ended.model_copy(update={"observed_generation": verdict.generation})
    return conditions.make(kind, False, "NotEnded" if verdict.stage is not Stage.ENDED else verdict.ended, "")


def _suspended(verdict: Verdict, reports: Sequence[PoolReport], summary: pb.Summary | None) -> tuple[bool, str, str]:
    if verdict.stage is not Stage.SUSPENDED:
        return False, "NotSuspended", ""
    left = sum(job.live for report in reports for job in report.pool.jobs)
    if left:
        return False, "Suspending", f"{workers(left)} still to finish an architecture and to go."
    if summary is not None and summary.state != pb.Summary.SUSPENDED:
        return False, "Suspending", "The controller is asked to suspend."
    return True, "Suspended", "spec.suspend is true. No workers are left."


def _progressing(
    verdict: Verdict, reports: Sequence[PoolReport], available: Condition, summary: pb.Summary | None
) -> tuple[bool, str, str]:
    if verdict.stage is not Stage.RUNNING:
        return False, verdict.ended or verdict.stage, ""
    if available.status != "True":
        return False, available.reason, available.message
    alive = sum(report.alive for report in reports)
    if not alive:
        return False, "NoWorkers", "No worker is there to train architectures."
    if summary is not None and summary.final_trainings and summary.reason == "FinalTraining":
        of = f"{summary.final_trainings_finished} of {summary.final_trainings}"
        return True, "FinalTraining", f"The search is done; {of} final trainings are, {workers(alive)} at work."
    finished = summary.trials_finished if summary is not None else 0
    of = f" of {summary.max_trials}" if summary is not None and summary.max_trials else ""
    return True, "Searching", f"{finished}{of} trials finished, {workers(alive)} at work."


def _ready(
    verdict: Verdict,
    available: Condition,
    pools: Condition,
    progressing: Condition,
    succeeded: Condition,
    failed: Condition,
    suspended: Condition,
) -> tuple[bool, str, str]:
    if failed.status == "True":
        return False, failed.reason, failed.message
    if succeeded.status == "True" and verdict.stage is not Stage.REOPENED:
        return True, succeeded.reason, succeeded.message
    for condition in (available, pools):
        if condition.status != "True":
            return False, condition.reason, condition.message
    if verdict.stage is Stage.SUSPENDED:
        return True, suspended.reason, suspended.message
    if progressing.reason == "FinalTraining":
        return True, progressing.reason, progressing.message
    return True, "Running", pools.message


def _numbers(summary: pb.Summary) -> NASSearchStatus:
    top = tuple(trial for trial in map(_trial, summary.best[:_TOP]) if trial is not None)
    return NASSearchStatus(
        trials=TrialCounts(
            finished=summary.trials_finished,
            succeeded=summary.trials_succeeded,
            failed=summary.trials_failed,
            stopped_early=summary.trials_stopped_early,
            running=summary.trials_leased,
            pending=summary.trials_pending,
        ),
        updates=summary.updates,
        best_trial=top[0] if top else None,
        top_trials=top,
        final_training=_final_training(summary),
    )


def _final_training(summary: pb.Summary) -> FinalTrainingStatus | None:
    best = summary.final_best if summary.HasField("final_best") else None
    if best is None and not summary.final_trainings:
        return None
    tested = sorted(best.final_result.metrics.items()) if best is not None else []
    tested = [(name, value) for name, value in tested if name.startswith("test_") and math.isfinite(value)]
    return FinalTrainingStatus(
        trainings=summary.final_trainings,
        finished=summary.final_trainings_finished,
        best_trial=best.trial_id if best is not None else None,
        metrics=dict(tested[:_MOST_METRICS]),
    )


def _trial(trial: pb.Trial) -> TrialSummary | None:
    if not (trial.HasField("reward") and math.isfinite(trial.reward)):
        return None  # no number that JSON has
    return TrialSummary(
        id=trial.trial_id,
        reward=trial.reward,
        digest=trial.digest[:64],
        parameters=trial.parameters or None,
        flops=trial.flops or None,
        finished_at=format_time(datetime.fromtimestamp(trial.finished_at, UTC)) if trial.finished_at else None,
    )
