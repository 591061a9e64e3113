"""KubeNAS in the cluster: definitions of this version, and an operator that looks after the namespace."""

import copy
from typing import Any

import pytest
from nas_cli.cluster.preflight.check import Outcome, Unread
from nas_cli.cluster.preflight.demand import UNKNOWN_IMAGE
from nas_cli.cluster.preflight.installation import (
    check_definitions,
    check_operator,
    check_prometheus,
    operator_of,
    settings_of,
)
from nas_operator.crd import nassearch_crd

SCHEMA: dict[str, Any] = nassearch_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def operator(namespaces: str = "", ready: str = "True", **environment: str) -> dict[str, Any]:
    values = {"KUBENAS_NAMESPACES": namespaces, **environment}
    container = {"image": "operator:1", "env": [{"name": name, "value": value} for name, value in values.items()]}
    return {
        "metadata": {"name": "nas-operator-1", "namespace": "kubenas-system"},
        "spec": {"containers": [container]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_definitions_of_this_version_are_fine() -> None:
    assert check_definitions(SCHEMA).outcome is Outcome.OK


def test_definitions_of_another_version_are_told_with_the_fields_that_differ() -> None:
    other = copy.deepcopy(SCHEMA)
    del other["properties"]["spec"]["properties"]["pools"]["items"]["properties"]["queue"]
    other["properties"]["spec"]["properties"]["tomorrow"] = {"type": "string"}
    check = check_definitions(other)
    assert check.outcome is Outcome.WARNING
    assert "it does not know spec.pools[].queue" in check.message
    assert "this program does not know spec.tomorrow" in check.message


def test_no_definitions_and_those_that_cannot_be_read() -> None:
    assert check_definitions(None).outcome is Outcome.FAILED
    assert check_definitions(Unread("you may not")).outcome is Outcome.WARNING


@pytest.mark.parametrize(
    ("pods", "outcome", "words"),
    [
        ([operator()], Outcome.OK, "kubenas-system/nas-operator-1, operator:1"),
        ([operator("other,team")], Outcome.OK, "operator:1"),
        ([operator("other"), operator("team")], Outcome.OK, "operator:1"),
        ([operator("other")], Outcome.FAILED, "does not look after the namespace team, but other"),
        ([operator(ready="False")], Outcome.FAILED, "is not ready"),
        ([operator(ready="False"), operator()], Outcome.OK, "operator:1"),
        ([], Outcome.FAILED, "there is none"),
        (Unread("you may not list pods"), Outcome.WARNING, "you may not list pods"),
    ],
)
def test_an_operator_must_run_and_look_after_the_namespace(pods: Any, outcome: Outcome, words: str) -> None:
    check = check_operator(pods, "team")
    assert check.outcome is outcome
    assert words in check.message


def test_settings_are_those_of_the_pod_and_not_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBENAS_STORAGE_ACCESS_MODE", "ReadWriteOnce")
    assert settings_of(None).storage_access_mode == "ReadWriteOncePod"
    assert settings_of(None).child_image == UNKNOWN_IMAGE
    read = settings_of(operator(KUBENAS_CHILD_IMAGE="child:2", KUBENAS_STORAGE_ACCESS_MODE="ReadWriteOnce"))
    assert (read.child_image, read.storage_access_mode) == ("child:2", "ReadWriteOnce")


def test_settings_of_another_version_are_left_aside() -> None:
    assert settings_of(operator(KUBENAS_STORAGE_ACCESS_MODE="Tomorrow")).storage_access_mode == "ReadWriteOncePod"


def test_the_operator_of_a_namespace_is_found() -> None:
    mine, of_all = operator("team"), operator()
    assert operator_of([operator("other"), mine], "team") is mine
    assert operator_of([of_all], "team") is of_all
    assert operator_of([operator("other")], "team") is None


def test_prometheus_is_told_and_never_needed() -> None:
    assert check_prometheus(True).outcome is check_prometheus(False).outcome is Outcome.OK
    assert check_prometheus(True).message != check_prometheus(False).message
