"""The controller's StatefulSet and Service: what an edit restarts, what an upgrade leaves, what is never lost."""

import os
import subprocess
import sys
from typing import Any

import pytest
from nas_api.spec import Controller, NASSearchSpec
from nas_operator.names import MANIFEST_ANNOTATION
from nas_operator.observed import Object
from nas_operator.resources.applied import is_applied
from nas_operator.resources.controller import (
    CONTROLLER_PORT,
    build_service,
    build_stateful_set,
    controller_host,
    controller_selector,
)

from tests.unit.operator.resources.searches import FULL_SPEC, SETTINGS, edited, search_of


def stateful_set_of(spec: dict[str, Any], image: str = "controller:1", replicas: int = 1) -> Object:
    return build_stateful_set(search_of(spec), SETTINGS, image, replicas)


def reads(spec: dict[str, Any]) -> str:
    return str(stateful_set_of(spec)["spec"]["template"]["metadata"]["annotations"][MANIFEST_ANNOTATION])


def claim_of(stateful_set: Object) -> Object:
    [claim] = stateful_set["spec"]["volumeClaimTemplates"]
    return dict(claim["spec"])


# What starts the controller anew. -----------------------------------------------------------------------------------

CONVNET = {
    "type": "ConvNet",
    "layers": [{"operation": {"op": "Convolution", "filterHeight": 3, "filterWidth": 3, "filters": 24}, "inputs": []}],
}
# Of every field of the manifest's spec: another value, whether the controller starts anew for it, and whether the
# StatefulSet is applied again. It is, too, if the pod itself becomes another.
EDITS: dict[str, tuple[Any, bool, bool]] = {
    "searchSpace.convNet.filters": ([8], True, True),
    "controller.policy": ({"layers": 1}, True, True),
    "controller.algorithm": ({"type": "Random"}, True, True),
    "controller.parallelism": ({"batchSize": 4}, True, True),
    "controller.bootstrap": ({"architectures": [CONVNET]}, True, True),
    "controller.lowFidelity": ({"epochs": 1}, True, True),
    "controller.duplicates": ("Train", True, True),
    "controller.earlyStopping": ({"type": "Median"}, True, True),
    "controller.lease": ({"duration": "30s"}, True, True),
    "controller.storage": ({"size": "9Gi"}, False, False),  # nothing may change it
    "controller.image": ("other", False, True),
    "controller.resources": ({"cpu": "2"}, False, True),
    "controller.nodeSelector": ({"tier": "system"}, False, True),
    "controller.tolerations": ([{"operator": "Exists"}], False, True),
    "controller.priorityClassName": ("high", False, True),
    "controller.ttlAfterFinished": ("1h", False, False),
    "trainer": ({"epochs": 3}, False, False),
    "reward": ({"exponent": 2}, True, True),
    "pools": ([{"name": "other", "replicas": 7}], False, False),
    "budget": ({"maxTrials": 7}, True, True),
    "finalTraining": ({"top": 2}, True, True),
    "suspend": (True, False, False),
    "deletionPolicy": ("Delete", False, False),
    "seed": (7, True, True),
}


@pytest.mark.parametrize(
    ("path", "value", "starts_anew", "applied_again"), [(path, *edit) for path, edit in EDITS.items()]
)
def test_an_edit_starts_the_controller_anew_if_it_reads_that(
    path: str, value: Any, starts_anew: bool, applied_again: bool
) -> None:
    spec = edited({}, path, value)
    assert (reads(spec) != reads({})) == starts_anew
    assert is_applied(stateful_set_of(spec), stateful_set_of({})) != applied_again


def test_no_field_of_the_manifest_is_forgotten_here() -> None:
    aliases = {field.alias for model in (NASSearchSpec, Controller) for field in model.model_fields.values()}
    assert aliases - {"controller"} == {path.removeprefix("controller.").partition(".")[0] for path in EDITS}


def test_another_image_or_number_of_replicas_is_applied() -> None:
    assert not is_applied(stateful_set_of({}, image="controller:2"), stateful_set_of({}))
    assert not is_applied(stateful_set_of({}, replicas=0), stateful_set_of({}))


def test_a_new_operator_with_other_settings_leaves_the_controller_as_it_is() -> None:
    other = SETTINGS.model_copy(update={"image_pull_policy": "Always", "storage_access_mode": "ReadWriteOnce"})
    search = search_of()
    new, old = (build_stateful_set(search, settings, "controller:1", 1) for settings in (other, SETTINGS))
    assert new["spec"] != old["spec"]
    assert is_applied(new, old)


def test_the_digests_are_the_same_in_every_version_of_the_operator() -> None:
    # If this fails then an upgrade of the operator restarts every controller.
    spec = {"budget": {"maxTrials": 7}, "controller": {"resources": {"cpu": 2}, "policy": {"layers": 1}}}
    assert reads(spec) == "3fb393a983fc23d7"
    assert stateful_set_of(spec)["metadata"]["annotations"]["kubenas.dev/applied"] == "01c5ae4f308902ed"


# The journal. -------------------------------------------------------------------------------------------------------


def test_the_volume_of_the_journal_is_as_the_manifest_says() -> None:
    assert claim_of(stateful_set_of(FULL_SPEC)) == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }


def test_by_default_one_pod_alone_can_have_the_volume() -> None:
    assert claim_of(stateful_set_of({})) == {
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "2Gi"}},
    }


def test_the_claim_of_a_stateful_set_that_is_there_is_kept() -> None:
    observed = stateful_set_of({})
    observed["spec"]["volumeClaimTemplates"][0]["spec"]["volumeMode"] = "Filesystem"
    again = build_stateful_set(search_of(FULL_SPEC), SETTINGS, "controller:1", 1, observed)
    assert again["spec"]["volumeClaimTemplates"] == observed["spec"]["volumeClaimTemplates"]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_the_journal_outlives_the_stateful_set_and_the_pod(policy: str) -> None:
    assert stateful_set_of({"deletionPolicy": policy})["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }


# Reaching it. -------------------------------------------------------------------------------------------------------


def test_the_service_finds_the_pod() -> None:
    service, stateful_set = build_service(search_of()), stateful_set_of({})
    labels = stateful_set["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == controller_selector(search_of())
    assert labels.items() >= service["spec"]["selector"].items()
    assert labels.items() >= stateful_set["spec"]["selector"]["matchLabels"].items()
    [container] = stateful_set["spec"]["template"]["spec"]["containers"]
    [port] = service["spec"]["ports"]
    assert port["targetPort"] == container["ports"][0]["containerPort"] == CONTROLLER_PORT
    assert controller_host(search_of()) == f"{service['metadata']['name']}.research.svc"


def test_the_controller_understands_its_arguments() -> None:
    [container] = stateful_set_of({})["spec"]["template"]["spec"]["containers"]
    run = subprocess.run(
        [sys.executable, *container["command"][1:], *container["args"]],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    # The first thing that is wrong is that there is no manifest here: exit status 2 would be an argument.
    assert run.returncode == 78, run.stderr
    assert "/etc/kubenas/manifest/search.yaml" in run.stderr


def test_a_stuck_controller_is_started_again_and_one_that_starts_is_given_time() -> None:
    [container] = stateful_set_of({})["spec"]["template"]["spec"]["containers"]
    probes = {name: container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert all(probe["tcpSocket"] == {"port": CONTROLLER_PORT} for probe in probes.values())
    patience = {name: probe["periodSeconds"] * probe["failureThreshold"] for name, probe in probes.items()}
    assert patience["readinessProbe"] < patience["livenessProbe"] < patience["startupProbe"]


def test_a_pod_that_never_gets_ready_does_not_block_its_replacement() -> None:
    assert stateful_set_of({})["spec"]["podManagementPolicy"] == "Parallel"
