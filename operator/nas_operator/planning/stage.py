"""What a search should be doing: running, suspended, or nothing any more."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch, NASSearchStatus
from nas_api.spec.base import parse_duration

from nas_operator.actions import SetState
from nas_operator.planning.diagnosis.controller_problem import UNREACHABLE
from nas_operator.planning.diagnosis.problem import Problem
from nas_operator.planning.objects import parse_time


class Stage(StrEnum):
    """What a search should be doing."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    ENDED = "Ended"
    # It had ended, and was edited since: its controller has to say whether it goes on.
    REOPENED = "Reopened"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a search stands, by its controller, or by what that said before it went.

    Attributes:
        stage: what the search should be doing.
        ended: Succeeded or Failed, with stage Ended.
        ended_at: when, with stage Ended.
        generation: of the manifest that it has ended by, with stage Ended.
        grows: whether workers may be made and replaced.
    """

    stage: Stage
    ended: str = ""
    ended_at: datetime | None = None
    generation: int = 0
    grows: bool = False


def find_verdict(
    search: NASSearch,
    generation: int,
    previous: NASSearchStatus,
    summary: pb.Summary | None,
    settled: bool,
    runs: bool,
    problem: Problem | None,
    now: datetime,
) -> Verdict:
    """How the search stands.

    Args:
        search: its manifest.
        generation: of the manifest.
        previous: its status as it was written last.
        summary: of its controller, if that is there.
        settled: whether that controller has read this generation of the manifest.
        runs: whether the controller's container does.
        problem: of the controller.
        now: UTC.
    """
    before = next((c for c in previous.conditions if c.type in ("Succeeded", "Failed") and c.status == "True"), None)
    if summary is not None and summary.state in (pb.Summary.SUCCEEDED, pb.Summary.FAILED):
        return Verdict(
            Stage.ENDED,
            ended="Succeeded" if summary.state == pb.Summary.SUCCEEDED else "Failed",
            ended_at=(parse_time(previous.finished_at) if before else None) or now,
            generation=generation if settled else before.observed_generation if before else 0,
        )
    if summary is None and before is not None:
        if before.observed_generation != generation:
            return Verdict(Stage.REOPENED)
        return Verdict(Stage.ENDED, before.type, parse_time(previous.finished_at) or now, generation)
    if search.spec.suspend:
        return Verdict(Stage.SUSPENDED)
    # Workers that came before the controller goes on would be sent away.
    resumes = summary is not None and summary.state == pb.Summary.SUSPENDED
    # Those of a controller that cannot start would keep GPUs from others for nothing: for the first of them its volume
    # and its image must be there. They do not wait until it is ready, since both take seconds to import PyTorch. One
    # that is not heard of may only be out of the operator's reach.
    can_start = problem.reason == UNREACHABLE if problem is not None else runs
    idle = previous.started_at is None and summary is None and not can_start
    return Verdict(Stage.RUNNING, grows=not resumes and not idle)


def controller_goes_at(search: NASSearch, verdict: Verdict, generation: int) -> datetime | None:
    """When the controller of a search that has ended is not needed any more. None: it stays."""
    if verdict.ended_at is None or verdict.generation != generation:
        return None
    return verdict.ended_at + parse_duration(search.spec.controller.ttl_after_finished)


def plan_state(verdict: Verdict, summary: pb.Summary | None) -> tuple[SetState, ...]:
    """Suspends or resumes the search, as the manifest says, if its controller does not do so already."""
    if summary is None:
        return ()
    if verdict.stage is Stage.SUSPENDED and summary.state != pb.Summary.SUSPENDED:
        return (SetState(pb.Summary.SUSPENDED, "Suspended", "spec.suspend is true"),)
    if verdict.stage is Stage.RUNNING and summary.state == pb.Summary.SUSPENDED:
        return (SetState(pb.Summary.RUNNING, "Resumed", "spec.suspend is false"),)
    return ()
