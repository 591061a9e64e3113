"""What the API server says to dry runs, and the user's rights."""

import pytest
from nas_cli.cluster.preflight.admission import check_manifest, check_namespace, check_pod_security, check_pods
from nas_cli.cluster.preflight.check import Outcome, Unread
from nas_cli.cluster.preflight.rights import APPLY, RIGHTS, check_rights

from tests.unit.cli.cluster.preflight.objects import demand, named

TAKEN = {"controller": None, "pool default": None}
UNSAFE = 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'


def test_the_namespace_must_be_there() -> None:
    assert check_namespace(named("team"), "team").outcome is Outcome.OK
    assert check_namespace(None, "team").advice == "`kubectl create namespace team`"
    assert check_namespace(named("team", status={"phase": "Terminating"}), "team").outcome is Outcome.FAILED
    assert check_namespace(Unread("you may not get it"), "team").outcome is Outcome.WARNING


def test_the_manifest_is_what_the_dry_run_says() -> None:
    assert check_manifest(None, exists=False).outcome is Outcome.OK
    assert "as a change" in check_manifest(None, exists=True).message
    refused = check_manifest("spec.searchSpace: is immutable", exists=True)
    assert refused.outcome is Outcome.FAILED
    assert "spec.searchSpace: is immutable" in refused.message
    assert check_manifest(Unread("you may not"), exists=False).outcome is Outcome.WARNING


@pytest.mark.parametrize(
    ("tried", "outcome"),
    [
        (None, Outcome.OK),
        ("no PriorityClass with name low was found", Outcome.FAILED),
        ("exceeded quota: gpus, requested: pods=1", Outcome.WARNING),
        ('admission webhook "a.b" does not support dry run', Outcome.WARNING),
        (Unread("you may not create pods"), Outcome.WARNING),
    ],
)
def test_pods_are_what_dry_runs_say(tried: str | Unread | None, outcome: Outcome) -> None:
    controller, workers = check_pods(demand(), TAKEN | {"pool default": tried})
    assert controller.outcome is Outcome.OK
    assert (workers.name, workers.outcome) == ("pod of the pool default", outcome)


def test_pod_security_is_told_once() -> None:
    refused = {"controller": UNSAFE, "pool default": UNSAFE}
    assert check_pods(demand(), refused) == []
    assert check_pod_security(named("team"), refused).outcome is Outcome.FAILED
    enforcing = named("team")
    enforcing["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "baseline"}
    assert "enforces baseline" in check_pod_security(enforcing, TAKEN).message
    assert "names no level" in check_pod_security(named("team"), TAKEN).message
    assert check_pod_security(Unread("you may not get it"), TAKEN).outcome is Outcome.WARNING


def test_rights_that_lack_are_told_by_what_they_are_for() -> None:
    all_of_them = dict.fromkeys(RIGHTS, True)
    assert check_rights(all_of_them, "team").outcome is Outcome.OK
    assert check_rights(all_of_them | {APPLY: False}, "team").outcome is Outcome.FAILED
    few = check_rights(dict.fromkeys(RIGHTS, False) | {APPLY: True}, "team")
    assert few.outcome is Outcome.WARNING
    assert "not ask its controller (get secrets, get pods, create pods/portforward)" in few.message
    assert few.advice == "Ask for the role edit in the namespace team."
