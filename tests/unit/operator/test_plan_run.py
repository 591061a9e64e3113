"""How a plan is carried out when some of its actions cannot be."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest
from nas_api.certificates import Identity
from nas_api.rpc import trials_pb2 as pb
from nas_operator.actions import (
    Action,
    Annotate,
    Apply,
    Create,
    CreateAuthority,
    Delete,
    DrainWorkers,
    Emit,
    IssueCertificate,
    SetOwners,
    SetState,
    WriteStatus,
)
from nas_operator.apply import Applier, ChangedError, RefusedError
from nas_operator.cache import Key
from nas_operator.controller_client import ControllerError
from nas_operator.kubernetes_api import ApiError
from nas_operator.names import POOL_LABEL
from nas_operator.observed import Refusal
from nas_operator.plan_run import PlanRun

KEY = Key("vision", "digits")
QUOTA = ApiError(403, "Forbidden", "exceeded quota: jobs")
TERMINATING = ApiError(403, "Forbidden", "vision is being terminated", ("NamespaceTerminating",))


class Applied:
    """Stands for an `Applier`: it fails as it is told, and remembers what it was asked for."""

    def __init__(self, failures: dict[str, Exception]) -> None:
        self.failures = failures
        self.asked: list[Action] = []

    def carry_out(self, action: Action) -> None:
        self.asked.append(action)
        if (error := self.failures.get(name_of(action))) is not None:
            raise error


def name_of(action: Action) -> str:
    match action:
        case Apply(manifest) | Create(manifest):
            return str(manifest["metadata"]["name"])
        case Delete(_, name) | WriteStatus(_, name) | Annotate(_, name) | SetOwners(_, name):
            return name
        case CreateAuthority(name) | IssueCertificate(name):
            return name
        case Emit(_, reason):
            return reason
        case _:
            return type(action).__name__


def service(name: str = "service") -> Apply:
    return Apply({"kind": "Service", "metadata": {"name": name}})


def job(name: str, pool: str = "gpu") -> Create:
    return Create({"kind": "Job", "metadata": {"name": name, "labels": {POOL_LABEL: pool}}})


STATUS = WriteStatus("NASSearch", "digits", {})
EVENT = Emit("Normal", "Scaled", "")


THREADS = ThreadPoolExecutor(4)


def run(
    actions: list[Action], failures: dict[str, Any], stopping: bool = False, seconds: float = 60
) -> tuple[PlanRun, list[str]]:
    applied, stop = Applied(failures), threading.Event()
    if stopping:
        stop.set()
    plan_run = PlanRun(KEY, cast(Applier, applied), THREADS, stop, seconds)
    plan_run.carry_out(actions)
    return plan_run, [name_of(action) for action in applied.asked]


def test_actions_are_carried_out_in_their_order() -> None:
    done, asked = run([service(), job("a"), job("b"), EVENT, STATUS], {})
    assert asked == ["service", "a", "b", "Scaled", "digits"]
    assert not done.failed
    assert done.refusals == []


@pytest.mark.parametrize(
    "error",
    [TERMINATING, ApiError(0, "NoAnswer", "no answer"), ApiError(503, "ServiceUnavailable", "busy")],
    ids=str,
)
def test_where_nothing_would_be_done_the_first_failure_ends_the_plan(error: Exception) -> None:
    done, asked = run([service("first"), service("second"), job("a"), STATUS], {"first": error})
    assert asked == ["first"]
    assert done.failed


ON_ONE_OBJECT = [
    QUOTA,
    ApiError(404, "NotFound", "there is none"),
    ApiError(500, "InternalError", "failed calling webhook"),
    ChangedError("changed"),
    RefusedError("another's"),
    ControllerError("gone"),
]
SUSPEND = SetState(pb.Summary.SUSPENDED, "Suspended", "")
GO = {"since": "now"}


@pytest.mark.parametrize("error", ON_ONE_OBJECT, ids=str)
def test_what_does_not_depend_on_an_action_that_failed_is_done(error: Exception) -> None:
    actions = [service(), SUSPEND, DrainWorkers(("a-1",)), Delete("Job", "b", "uid"), job("c")]
    done, asked = run(actions, {"service": error})
    assert asked == ["service", "SetState", "DrainWorkers", "b", "c"]
    assert done.failed


@pytest.mark.parametrize("error", ON_ONE_OBJECT, ids=str)
def test_a_status_is_written_though_an_action_failed_or_is_left_to_the_plan_that_knows_of_the_refusal(
    error: Exception,
) -> None:
    done, asked = run([service(), STATUS], {"service": error})
    assert ("digits" in asked) == (not done.refusals)


@pytest.mark.parametrize("error", ON_ONE_OBJECT, ids=str)
@pytest.mark.parametrize(
    ("needed", "left_out"),
    [
        (CreateAuthority("needed"), {"certificate", "a", "b"}),
        (IssueCertificate("needed", Identity("vision/digits", "pool", "gpu"), (), timedelta(1)), {"a"}),
        (IssueCertificate("needed", Identity("vision/digits", "admin"), (), timedelta(1)), set()),
        (Apply({"kind": "ConfigMap", "metadata": {"name": "needed"}}), {"a", "b"}),
        (Apply({"kind": "NetworkPolicy", "metadata": {"name": "needed"}}), {"a", "b"}),
        (Apply({"kind": "NASPool", "metadata": {"name": "needed", "labels": {POOL_LABEL: "gpu"}}}), {"a"}),
        (Apply({"kind": "StatefulSet", "metadata": {"name": "needed"}}), set()),
    ],
    ids=["authority", "pool's certificate", "certificate", "manifest", "policy", "pool", "controller"],
)
def test_workers_are_not_made_without_what_they_need(needed: Action, left_out: set[str], error: Exception) -> None:
    certificate = IssueCertificate("certificate", Identity("vision/digits", "controller"), (), timedelta(1))
    _, asked = run([needed, certificate, job("a"), job("b", "spot")], {"needed": error})
    assert asked == ["needed", *(name for name in ("certificate", "a", "b") if name not in left_out)]


@pytest.mark.parametrize("error", ON_ONE_OBJECT, ids=str)
def test_a_pool_does_not_go_before_its_certificate_is_to_go_with_it(error: Exception) -> None:
    actions: list[Action] = [SetOwners("Secret", "certificate", "1", ()), Delete("NASPool", "pool", "uid")]
    assert run(actions, {})[1] == ["certificate", "pool"]
    assert run(actions, {"certificate": error})[1] == ["certificate"]


@pytest.mark.parametrize("error", ON_ONE_OBJECT, ids=str)
def test_nothing_is_done_to_a_worker_before_it_is_written_down(error: Exception) -> None:
    marks: list[Action] = [Annotate("Job", "a", GO), Annotate("Job", "b", GO)]
    both = DrainWorkers(("a-1", "b-1"))
    done, asked = run([*marks, both, Delete("Job", "a", "uid"), Delete("Job", "b", "uid")], {"a": error})
    assert asked == ["a", "b", "DrainWorkers", "b"]
    assert DrainWorkers(("b-1",)) in done.done
    # To ask the controller to retire nobody would mean everybody.
    _, asked = run([*marks, DrainWorkers(("a-1",)), STATUS], {"a": error})
    assert "DrainWorkers" not in asked


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (QUOTA, "exceeded quota: jobs"),
        (ApiError(422, "Invalid", "spec.x: wrong"), "spec.x: wrong"),
        (RefusedError("another's"), "another's"),
        (TERMINATING, None),
        (ApiError(404, "NotFound", "no namespace"), None),
        (ApiError(500, "InternalError", "etcd is gone"), None),
        (ChangedError("changed"), None),
        (ControllerError("gone"), None),
    ],
    ids=str,
)
def test_only_what_does_not_go_away_by_itself_is_a_refusal(error: Exception, told: str | None) -> None:
    done, _ = run([service()], {"service": error})
    assert done.refusals == ([Refusal("Service", "service", {}, told)] if told else [])


def test_workers_of_other_pools_are_made_where_those_of_one_are_refused() -> None:
    """And those of that one are not even tried; the status is for a later plan, which knows of the refusal."""
    done, asked = run([job("a"), job("b"), job("c", "spot"), job("d", "spot"), EVENT, STATUS], {"a": QUOTA})
    assert asked == ["a", "c", "d"]
    assert done.failed
    assert done.refusals == [Refusal("Job", "a", {POOL_LABEL: "gpu"}, "exceeded quota: jobs")]


def test_workers_wait_while_the_api_server_cannot_be_asked() -> None:
    _, asked = run([job("a"), job("b", "spot")], {"a": ApiError(503, "ServiceUnavailable", "busy")})
    assert asked == ["a"]


def test_an_event_that_is_not_taken_is_no_failure() -> None:
    done, asked = run([EVENT, service(), STATUS], {"Scaled": QUOTA})
    assert asked == ["Scaled", "service", "digits"]
    assert not done.failed


def test_after_a_refusal_users_are_told_though_some_of_that_fails() -> None:
    applied = Applied({"Scaled": QUOTA})
    plan_run = PlanRun(KEY, cast(Applier, applied), THREADS, threading.Event())
    plan_run.say([service(), EVENT, STATUS])
    assert applied.asked == [EVENT, STATUS]


def test_a_plan_ends_when_the_operator_stops() -> None:
    done, asked = run([service()], {}, stopping=True)
    assert asked == []
    assert not done.failed


def test_a_long_plan_is_left_to_the_next_one_but_for_what_it_says() -> None:
    done, asked = run([service(), job("a"), EVENT, STATUS], {}, seconds=-1)
    assert asked == ["Scaled", "digits"]
    assert done.cut_short
    assert not done.failed


def test_many_workers_are_made_at_once_after_a_few_have_been() -> None:
    _, asked = run([service(), *(job(f"{i}") for i in range(100)), STATUS], {})
    assert asked[:2] == ["service", "0"]
    assert set(asked[2:-1]) == {f"{i}" for i in range(1, 100)}
    assert asked[-1] == "digits"


def test_of_many_workers_that_are_refused_few_are_tried() -> None:
    done, asked = run([job(f"{i}") for i in range(1000)], {f"{i}": QUOTA for i in range(10, 1000)})
    assert len(asked) < 10 + 8
    assert {refusal.message for refusal in done.refusals} == {"exceeded quota: jobs"}


def test_what_was_done_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    jobs = [job(f"job-{i}") for i in range(800)]
    done, _ = run([service("a"), service("b"), *jobs, DrainWorkers(("w",) * 9), STATUS], {})
    done.log()
    assert [record.getMessage() for record in caplog.records] == [
        "vision/digits: apply Service a, b; create Job job-0 ... job-799 (800); ask to go 9 workers; "
        "write the status of NASSearch digits"
    ]
    assert caplog.records[0].levelno == logging.INFO


def test_a_status_alone_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    done, _ = run([STATUS], {})
    done.log()
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
