"""Every pod of a search: the 'restricted' Pod Security Standard, and nothing that its process does not need.

`tests/control_plane` has an API server that enforces the standard.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from nas_operator.resources.controller import build_stateful_set
from nas_operator.resources.worker import build_job

from tests.unit.operator.resources.searches import FULL_SPEC, SETTINGS, pool_of, search_of


def pods() -> Iterator[Any]:
    for kind, spec in (("full", FULL_SPEC), ("plain", {})):
        search = search_of(spec)
        stateful_set = build_stateful_set(search, SETTINGS, "controller:1", 1)
        yield pytest.param(stateful_set["spec"]["template"]["spec"], id=f"{kind} controller")
        job = build_job(search, search.spec.pools[0], 0, "worker:1", SETTINGS)
        yield pytest.param(job["spec"]["template"]["spec"], id=f"{kind} worker")


every_pod = pytest.mark.parametrize("pod", list(pods()))


@every_pod
def test_it_is_restricted(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


@every_pod
def test_it_has_no_credentials_of_kubernetes(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@every_pod
def test_what_it_mounts_is_there_and_at_one_path_each(pod: dict[str, Any]) -> None:
    mounts = pod["containers"][0]["volumeMounts"]
    volumes = [volume["name"] for volume in pod["volumes"]]
    assert len(set(volumes)) == len(volumes)
    # The journal is a claim of the StatefulSet.
    assert {mount["name"] for mount in mounts} - {"journal"} == set(volumes)
    paths = [mount["mountPath"] for mount in mounts]
    assert len(set(paths)) == len(paths)
    assert "/tmp" in paths


@every_pod
def test_manifest_and_certificates_are_read_only(pod: dict[str, Any]) -> None:
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["/etc/kubenas/manifest"]["readOnly"]
    assert mounts["/etc/kubenas/tls"]["readOnly"]


@every_pod
def test_the_last_words_of_a_process_that_failed_are_kept(pod: dict[str, Any]) -> None:
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_what_the_manifest_says_of_placement_is_passed_on() -> None:
    search = search_of(FULL_SPEC)
    pod = build_job(search, pool_of(search, "spot"), 0, "worker:1", SETTINGS)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"gpu": "a100"}
    assert pod["priorityClassName"] == "low"
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["tolerations"] == [
        {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoExecute", "tolerationSeconds": 30},
        {"operator": "Exists"},
    ]
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"] == {
        "nvidia.com/mig-1g.10gb": "1",
        "deviceclass.resource.kubernetes.io/gpu.nvidia.com": "1",
        "cpu": "3500m",
        "memory": "16Gi",
    }


def test_what_the_manifest_does_not_say_is_left_to_the_cluster() -> None:
    search = search_of()
    pod = build_job(search, search.spec.pools[0], 0, "worker:1", SETTINGS)["spec"]["template"]["spec"]
    assert not pod.keys() & {"nodeSelector", "priorityClassName", "runtimeClassName", "tolerations"}
    assert "resources" not in pod["containers"][0]
