"""How a plan is carried out when some of its actions cannot be."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from nas_operator.actions import Action, Apply, Create, Delete, DrainWorkers, Emit, WriteStatus
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
        case Delete(_, name) | WriteStatus(_, name):
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
    [
        QUOTA,
        TERMINATING,
        ApiError(0, "NoAnswer", "no answer"),
        ApiError(500, "InternalError", "etcd is gone"),
        ChangedError("changed"),
        RefusedError("another's"),
        ControllerError("gone"),
    ],
    ids=lambda error: str(error),
)
def test_what_later_actions_may_need_ends_the_plan_when_it_fails(error: Exception) -> None:
    done, asked = run([service("first"), service("second"), job("a"), STATUS], {"first": error})
    assert asked == ["first"]
    assert done.failed


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
