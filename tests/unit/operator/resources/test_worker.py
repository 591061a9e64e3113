"""The Job of a worker: lost pods are replaced, hopeless ones are not; an edit of what it is made of replaces it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nas_api.spec import Pool, Trainer
from nas_operator.observed import Object
from nas_operator.resources.worker import build_job, template_hash, threads

from tests.unit.operator.resources.searches import FULL_SPEC, SETTINGS, edited, pool_of, search_of


def job_of(spec: dict[str, Any], pool: str = "default", slot: int = 0) -> Object:
    search = search_of(spec)
    return build_job(search, pool_of(search, pool), slot, "worker:1", SETTINGS)


def container_of(job: Object) -> Object:
    [container] = job["spec"]["template"]["spec"]["containers"]
    return dict(container)


def hash_of(spec: dict[str, Any], image: str = "worker:1", **metadata: str) -> str:
    search = search_of(spec, **metadata)
    return template_hash(search, pool_of(search, "default"), image)


# The Job. -----------------------------------------------------------------------------------------------------------


def test_a_worker_that_cannot_work_fails_its_job_and_a_lost_one_does_not() -> None:
    spec = job_of({})["spec"]
    unusable, lost = spec["podFailurePolicy"]["rules"]
    assert unusable == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "worker", "operator": "In", "values": [78]},
    }
    assert lost == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert spec["backoffLimit"] > 1_000_000
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_pod_is_replaced_only_when_it_is_gone() -> None:
    assert job_of({})["spec"]["podReplacementPolicy"] == "Failed"


def test_a_worker_can_give_its_architecture_back_before_it_is_killed() -> None:
    job = job_of({})
    [grace] = [argument for argument in container_of(job)["args"] if argument.startswith("--grace-seconds=")]
    assert float(grace.partition("=")[2]) + 5 <= job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_job_and_pod_say_which_worker_they_are() -> None:
    job = job_of(FULL_SPEC, "spot", 2)
    expected = {
        "kubenas.dev/search": "digits",
        "kubenas.dev/pool": "spot",
        "kubenas.dev/slot": "2",
        "kubenas.dev/template": job["metadata"]["name"].rpartition("-")[2],
        "app.kubernetes.io/component": "worker",
    }
    assert job["metadata"]["labels"].items() >= expected.items()
    assert job["spec"]["template"]["metadata"]["labels"].items() >= expected.items()


def test_kueue_queues_the_workers_of_a_pool_with_a_queue() -> None:
    assert job_of(FULL_SPEC, "spot")["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert "kueue.x-k8s.io/queue-name" not in job_of(FULL_SPEC, "cpu")["metadata"]["labels"]


# The process. -------------------------------------------------------------------------------------------------------


def test_the_worker_understands_its_arguments(tmp_path: Path) -> None:
    container = container_of(job_of(FULL_SPEC, "spot"))
    run = subprocess.run(
        [sys.executable, *container["command"][1:], *container["args"]],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    # The first thing that is wrong is that there is no manifest here: exit status 2 would be an argument.
    assert run.returncode == 78, run.stderr
    assert "/etc/kubenas/manifest/search.yaml" in run.stderr


@pytest.mark.parametrize(
    ("cpu", "expected"), [(None, 1), ("250m", 1), (1, 1), ("3500m", 3), ("4.0", 4), (16, 16)], ids=str
)
def test_a_trial_has_a_thread_for_each_whole_cpu(cpu: str | int | None, expected: int) -> None:
    assert threads(Pool(name="a", resources={} if cpu is None else {"cpu": str(cpu)})) == expected


def test_the_worker_is_named_after_its_pod() -> None:
    container = container_of(job_of({"trainer": {"environment": {"POD_NAME": "mine"}}}))
    assert "--worker-id=$(POD_NAME)" in container["args"]
    assert [variable for variable in container["env"] if variable["name"] == "POD_NAME"] == [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    ]


def test_a_user_adds_variables_and_a_secret() -> None:
    container = container_of(job_of(FULL_SPEC, "cpu"))
    assert {"name": "NCCL_DEBUG", "value": "WARN"} in container["env"]
    assert container["envFrom"] == [{"secretRef": {"name": "object-store"}}]


def test_a_user_may_have_a_home_elsewhere() -> None:
    container = container_of(job_of({"trainer": {"environment": {"HOME": "/scratch"}}}))
    assert [v["value"] for v in container["env"] if v["name"] == "HOME"] == ["/scratch"]


def test_a_claim_that_is_mounted_twice_is_one_volume_and_read_only_if_all_of_it_is() -> None:
    pod = job_of(FULL_SPEC, "cpu")["spec"]["template"]["spec"]
    claims = {v["name"]: v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {
        "data-0": {"claimName": "images", "readOnly": True},
        "data-1": {"claimName": "scratch"},
    }
    mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] in claims]
    assert mounts == [
        {"name": "data-0", "mountPath": "/data", "readOnly": True},
        {"name": "data-1", "mountPath": "/scratch"},
        {"name": "data-1", "mountPath": "/models", "readOnly": True, "subPath": "models"},
    ]


def test_shared_memory_is_as_large_as_the_memory_of_the_pod() -> None:
    pod = job_of({})["spec"]["template"]["spec"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory"}} in pod["volumes"]


# What replaces a worker. --------------------------------------------------------------------------------------------

BASE = {"pools": [{"name": "default"}, {"name": "other"}]}
# Of every field of a pool and of the trainer: another value, and whether running workers must be replaced.
POOL_EDITS: dict[str, tuple[Any, bool]] = {
    "replicas": (5, False),
    "drainTimeout": ("1h", False),
    "image": ("other", False),  # it comes as an argument, whichever of the images it is
    "resources": ({"cpu": 2}, True),
    "nodeSelector": ({"gpu": "a100"}, True),
    "tolerations": ([{"operator": "Exists"}], True),
    "priorityClassName": ("high", True),
    "runtimeClassName": ("nvidia", True),
    "queue": ("research", True),
}
TRAINER_EDITS: dict[str, tuple[Any, bool]] = {
    "image": ("other", False),
    "egress": ([{"cidr": "0.0.0.0/0"}], False),
    "task": ("mine:train", True),
    "epochs": (3, True),
    "batchSize": (8, True),
    "optimizer": ({"learningRate": 0.2}, True),
    "dataset": ({"path": "/data"}, True),
    "languageModel": ({"level": "Characters"}, True),
    "augmentation": ("None", True),
    "batchNormEpsilon": (0.001, True),
    "precision": ("Float32", True),
    "timeout": ("1h", True),
    "memoryLimit": ("2Gi", True),
    "parameters": ({"width": 3}, True),
    "volumes": ([{"claimName": "data", "mountPath": "/data"}], True),
    "environment": ({"A": "1"}, True),
    "environmentSecret": ("keys", True),
}
OTHER_EDITS: dict[str, tuple[Any, bool]] = {
    "pools.1.resources": ({"cpu": 2}, False),
    "budget.maxTrials": (7, False),
    "finalTraining": ({"top": 2}, False),
    "controller.lease.duration": ("30s", False),
    "controller.lowFidelity.epochs": (1, True),
    "suspend": (True, False),
    "deletionPolicy": ("Delete", False),
    "seed": (7, True),
}
EDITS = (
    {f"pools.0.{field}": edit for field, edit in POOL_EDITS.items()}
    | {f"trainer.{field}": edit for field, edit in TRAINER_EDITS.items()}
    | OTHER_EDITS
)


@pytest.mark.parametrize(("path", "value", "replaced"), [(path, *edit) for path, edit in EDITS.items()])
def test_an_edit_replaces_a_worker_if_it_is_made_of_that(path: str, value: Any, replaced: bool) -> None:
    assert (hash_of(edited(BASE, path, value)) != hash_of(BASE)) == replaced


def test_no_field_of_pools_and_trainer_is_forgotten_here() -> None:
    aliases = {field.alias for model in (Pool, Trainer) for field in model.model_fields.values()}
    assert aliases == {"name", *POOL_EDITS, *TRAINER_EDITS}


def test_another_image_replaces_a_worker_and_so_does_another_search_of_the_same_name() -> None:
    assert hash_of(BASE, image="worker:2") != hash_of(BASE)
    assert hash_of(BASE, uid="another") != hash_of(BASE)


def test_a_default_that_is_written_out_replaces_nothing() -> None:
    written = search_of(BASE).model_dump(mode="json", by_alias=True)["spec"]
    assert hash_of(written) == hash_of(BASE)


def test_a_new_operator_with_other_settings_replaces_nothing() -> None:
    search = search_of(BASE)
    other = SETTINGS.model_copy(update={"image_pull_policy": "Always"})
    names = {
        build_job(search, search.spec.pools[0], 0, "worker:1", settings)["metadata"]["name"]
        for settings in (SETTINGS, other)
    }
    assert len(names) == 1


def test_the_hash_is_the_same_in_every_version_of_the_operator() -> None:
    # If this fails then an upgrade of the operator restarts every worker of every search.
    spec = {"pools": [{"name": "default", "resources": {"cpu": 2}}], "trainer": {"epochs": 3}, "seed": 1}
    assert hash_of(spec) == "8bb09752"
