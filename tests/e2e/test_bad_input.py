"""What cannot work is said by a condition that tells what to do, and works by itself once the cause has gone."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.search import LIMITED_STORAGE, Search, assert_counted_once, claim, quick_search

Object = dict[str, Any]


def quota(pods: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few-pods"},
        "spec": {"hard": {"pods": str(pods)}},
    }


def first_pool(**fields: Any) -> Object:
    return {"spec": {"pools": [{"name": "default", "replicas": 1, **fields}]}}


def missing_claim(search: Search) -> Callable[[], None]:
    trainer = {"epochs": 1, "volumes": [{"claimName": "data", "mountPath": "/data"}]}
    search.apply(quick_search(trials=4, trainer=trainer))
    return lambda: search.cluster.apply(claim("data"), namespace=search.namespace)


def image_that_cannot_be_pulled(search: Search) -> Callable[[], None]:
    search.apply(quick_search(trials=4, pools={"default": 1}))
    search.patch(first_pool(image="registry.invalid/nothing:none"))
    return lambda: search.patch(first_pool())


def pool_that_fits_no_node(search: Search) -> Callable[[], None]:
    search.apply(quick_search(trials=4))
    search.patch(first_pool(nodeSelector={"gpu": "of-the-next-decade"}))
    return lambda: search.patch(first_pool())


def exceeded_quota(search: Search) -> Callable[[], None]:
    search.cluster.apply(quota(1), namespace=search.namespace)
    search.apply(quick_search(trials=4))
    return lambda: search.cluster.apply(quota(10), namespace=search.namespace)


@pytest.mark.parametrize(
    ("cause", "reason", "words"),
    [
        (missing_claim, "VolumeClaimNotFound", "no PersistentVolumeClaim data"),
        (image_that_cannot_be_pulled, "ImagePullFailed", "spec.trainer.image"),
        (pool_that_fits_no_node, "Unschedulable", "nodeSelector"),
        (exceeded_quota, "QuotaExceeded", "ResourceQuota"),
    ],
)
def test_a_search_whose_workers_cannot_start_says_why_and_recovers(
    cluster: Cluster,
    operator: None,
    namespace: str,
    cause: Callable[[Search], Callable[[], None]],
    reason: str,
    words: str,
) -> None:
    search = Search(cluster, namespace)
    repair = cause(search)
    condition = search.wait_for_condition("Ready", "False", reason=reason)
    assert words in condition["message"]
    search.wait_for_condition("PoolsReady", "False", reason=reason)
    about_it = f"involvedObject.kind=NASSearch,involvedObject.name={search.name},reason={reason}"
    search.wait(lambda: search.kubectl("get", "events", "-o", "name", "--field-selector", about_it), "an event, too")

    repair()
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, 4)


def test_a_task_that_cannot_be_imported_fails_fast_and_is_tried_again(
    cluster: Cluster, operator: None, namespace: str
) -> None:
    search = Search(cluster, namespace)
    cluster.apply(claim("code"), namespace=namespace)
    trainer = {
        "task": "my_task:train",
        "epochs": 1,
        "environment": {"PYTHONPATH": "/code"},
        "volumes": [{"claimName": "code", "mountPath": "/code"}],
    }
    reward = {"metric": "score", "exponent": 1}
    search.apply(quick_search(trials=4, trainer=trainer, reward=reward, pools={"default": 3}))

    condition = search.wait_for_condition("Ready", "False", reason="WorkerConfigurationInvalid")
    assert "my_task" in condition["message"]
    pods = search.owned("pods", "worker")
    assert len(pods) <= 3, "no pod was tried again in vain"

    # The code arrives: the next try, which is not long after, finds it.
    code = "def train(trial, report):\n    report(1, score=0.5)\n"
    search.run_on_claim("code", f"open('/claim/my_task.py', 'w').write({code!r})", name="bring-code")
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, 4)


def test_a_controller_that_cannot_be_configured_says_why_and_recovers(
    cluster: Cluster, operator: None, namespace: str
) -> None:
    search = Search(cluster, namespace)
    controller = {"image": "registry.invalid/nothing:none", "resources": {"cpu": "500m", "memory": "1Gi"}}
    search.apply(quick_search(trials=4, controller=controller))
    condition = search.wait_for_condition("ControllerAvailable", "False", reason="ImagePullFailed")
    assert "spec.controller.image" in condition["message"]
    assert not search.owned("jobs", "worker"), "no worker holds a GPU for a controller that cannot start"

    search.patch({"spec": {"controller": {"image": None}}})
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, 4)


def test_a_full_journal_volume_stalls_the_search_and_loses_nothing(
    cluster: Cluster, operator: None, namespace: str
) -> None:
    if not cluster.is_ours:
        pytest.skip("only a cluster of our own has the storage class 'limited', whose volumes can be filled")
    search = Search(cluster, namespace)
    manifest = quick_search(epochs=2)
    manifest["spec"]["controller"]["storage"] = LIMITED_STORAGE
    search.apply(manifest)
    search.wait_for_trials(4)

    search.fill_journal()
    condition = search.wait_for_condition("Ready", "False", reason="JournalFull")
    assert "PersistentVolumeClaim" in condition["message"]

    search.make_room_for_journal()
    search.wait_for_condition("Ready")
    trials = search.end_after(8)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)
