"""What a manifest names that has to be there: a Secret, classes, queues."""

from nas_cli.cluster.preflight.check import Outcome, Unread
from nas_cli.cluster.preflight.references import check_classes, check_queues, check_secret

from tests.unit.cli.cluster.preflight.objects import demand, gpu_pool, named

NAMING = demand(
    {
        "controller": {"priorityClassName": "high"},
        "trainer": {"environmentSecret": "object-store"},
        "pools": [gpu_pool(priorityClassName="low", runtimeClassName="nvidia", queue="research"),
                  gpu_pool(name="more", priorityClassName="low", queue="research")],
    }
)  # fmt: skip


def test_a_manifest_that_names_nothing_has_nothing_to_check() -> None:
    wanted = demand()
    assert [*check_secret(wanted, {}), *check_classes(wanted, [], []), *check_queues(wanted, None)] == []


def test_classes_are_looked_for_by_name() -> None:
    checks = list(check_classes(NAMING, [named("high"), named("other")], []))
    assert [(check.name, check.outcome) for check in checks] == [
        ("priority class high", Outcome.OK),
        ("priority class low", Outcome.FAILED),
        ("runtime class nvidia", Outcome.FAILED),
    ]
    assert checks[1].message == "is not there; there are high, other"
    assert checks[1].advice == "Make it, or correct spec.pools[0].priorityClassName."


def test_classes_that_may_not_be_listed_are_told() -> None:
    unread = Unread("you may not list priority classes")
    assert [check.outcome for check in check_classes(NAMING, unread, unread)] == [Outcome.WARNING] * 3


def test_a_queue_must_be_there_and_active() -> None:
    stopped = {"conditions": [{"type": "Active", "status": "False", "reason": "Stopped", "message": "it is held"}]}
    running = {"conditions": [{"type": "Active", "status": "True", "reason": "Ready"}]}
    (good,) = check_queues(NAMING, [named("research", status=running)])
    (held,) = check_queues(NAMING, [named("research", status=stopped)])
    (missing,) = check_queues(NAMING, [named("other")])
    assert (good.outcome, held.outcome, missing.outcome) == (Outcome.OK, Outcome.WARNING, Outcome.FAILED)
    assert "it is held" in held.message


def test_without_kueue_nothing_reads_the_queue() -> None:
    (check,) = check_queues(NAMING, None)
    assert check.outcome is Outcome.WARNING
    assert "no Kueue" in check.message


def test_the_secret_of_the_environment_must_be_there() -> None:
    (good,) = check_secret(NAMING, {"object-store": named("object-store", data={"KEY": "c2VjcmV0"})})
    (missing,) = check_secret(NAMING, {"object-store": None})
    (unread,) = check_secret(NAMING, {"object-store": Unread("you may not get it")})
    assert (good.outcome, missing.outcome, unread.outcome) == (Outcome.OK, Outcome.FAILED, Outcome.WARNING)
    assert good.message == "is there, with KEY"
