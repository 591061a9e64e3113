"""Quotas and limit ranges of a namespace, against all pods and objects of a search."""

from typing import Any

import pytest
from nas_cli.cluster.preflight.check import Check, Outcome, Unread
from nas_cli.cluster.preflight.demand import Demand
from nas_cli.cluster.preflight.limit_ranges import check_limit_ranges
from nas_cli.cluster.preflight.quotas import check_quotas

from tests.unit.cli.cluster.preflight.objects import demand, gpu_pool, named, pod_on


def quota(used: dict[str, str] | None = None, scopes: dict[str, Any] | None = None, **hard: str) -> dict[str, Any]:
    """A ResourceQuota. `gpu` stands for `requests.nvidia.com/gpu`."""
    in_full = {"requests.nvidia.com/gpu" if name == "gpu" else name.replace("_", "."): amount
               for name, amount in hard.items()}  # fmt: skip
    return named("bounds", spec={"hard": in_full, **(scopes or {})}, status={"used": used or {}})


def of(quota: dict[str, Any], wanted: Demand, **more: Any) -> Check:
    arguments = {"limit_ranges": [], "own": [], "storage_class": "fast"} | more
    (check,) = check_quotas(wanted, [quota], **arguments)
    return check


GPUS = demand({"pools": [gpu_pool(4)]})


def test_a_quota_with_room_for_all_of_it_is_fine() -> None:
    check = of(quota({"requests.nvidia.com/gpu": "4", "pods": "2"}, gpu="8", pods="10"), GPUS)
    assert check.outcome is Outcome.OK
    assert check.message == "takes of what is free: requests.nvidia.com/gpu 4 of 4, pods 5 of 8"


def test_a_quota_that_is_used_up_by_others_has_no_room_now() -> None:
    check = of(quota({"requests.nvidia.com/gpu": "6"}, gpu="8"), GPUS)
    assert check.outcome is Outcome.WARNING
    assert "beside what is there: requests.nvidia.com/gpu 4 of 2" in check.message
    assert check.advice.startswith("Wait for room")


def test_what_the_search_has_already_is_not_counted_twice() -> None:
    own = [pod_on("a", gpu="1") for _ in range(4)]
    used = {"requests.nvidia.com/gpu": "6"}
    assert of(quota(used, gpu="8"), GPUS, own=own).outcome is Outcome.OK
    there = demand({"pools": [gpu_pool(4)]}, exists=True)
    assert of(quota({"secrets": "5"}, secrets="5"), there).outcome is Outcome.OK
    assert of(quota({"secrets": "5"}, secrets="5"), GPUS).outcome is Outcome.WARNING


def test_a_quota_that_can_never_hold_all_workers_lets_fewer_run() -> None:
    check = of(quota(gpu="3"), GPUS)
    assert (check.outcome, check.message) == (
        Outcome.WARNING,
        "not all workers fit in it: requests.nvidia.com/gpu 4 of 3",
    )


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ({"gpu": "0"}, "requests.nvidia.com/gpu 1 of 0"),
        ({"memory": "33Gi"}, "memory 34Gi of 33Gi"),
        ({"limits_cpu": "4"}, "limits.cpu 9 of 4"),
        ({"pods": "1"}, "pods 2 of 1"),
        ({"count/jobs_batch": "0"}, "count/jobs.batch 1 of 0"),
        ({"persistentvolumeclaims": "0"}, "persistentvolumeclaims 1 of 0"),
        ({"requests_storage": "1Gi"}, "requests.storage 2Gi of 1Gi"),
        ({"fast_storageclass_storage_k8s_io/requests_storage": "0"}, "requests.storage 2Gi of 0"),
        ({"count/naspools_kubenas_dev": "0"}, "count/naspools.kubenas.dev 1 of 0"),
    ],
)
def test_a_quota_that_holds_no_worker_at_all_fails(bound: dict[str, str], words: str) -> None:
    check = of(quota(**bound), GPUS)
    assert check.outcome is Outcome.FAILED
    assert words in check.message


def test_a_quota_of_what_pods_do_not_say_refuses_them_unless_a_limit_range_says_it() -> None:
    bare = demand({"pools": [{"name": "bare", "replicas": 1}]})
    check = of(quota(limits_memory="64Gi"), bare)
    assert check.outcome is Outcome.FAILED
    assert "the pool bare says nothing of limits.memory" in check.message
    assert check.advice == "Say it in spec.pools[0].resources."
    item = {"type": "Container", "default": {"memory": "4Gi"}, "defaultRequest": {"memory": "4Gi"}}
    defaults = [named("defaults", spec={"limits": [item]})]
    assert of(quota(limits_memory="64Gi"), bare, limit_ranges=defaults).outcome is Outcome.OK


def test_a_quota_of_other_pods_counts_nothing() -> None:
    terminating = {"scopes": ["Terminating"]}
    of_high = {"scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}  # fmt: skip
    assert of(quota(scopes=terminating, pods="0"), GPUS).outcome is Outcome.OK
    assert of(quota(scopes=of_high, pods="0"), GPUS).outcome is Outcome.OK
    high = demand({"pools": [gpu_pool(4, priorityClassName="high")]})
    assert of(quota(scopes=of_high, pods="0"), high).outcome is Outcome.FAILED
    assert of(quota(scopes={"scopes": ["BestEffort"]}, pods="0"), GPUS).outcome is Outcome.OK
    assert of(quota(scopes={"scopes": ["NotBestEffort"]}, pods="0"), GPUS).outcome is Outcome.FAILED


def test_no_quota_and_one_that_cannot_be_read_are_told() -> None:
    (none,) = check_quotas(GPUS, [], [], [], "")
    (unread,) = check_quotas(GPUS, Unread("you may not list quotas"), [], [], "")
    assert (none.outcome, unread.outcome) == (Outcome.OK, Outcome.WARNING)
    assert "you may not list quotas" in unread.message


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"type": "Container", "max": {"memory": "16Gi"}},
         "spec.pools[0].resources: memory 32Gi is above the most, 16Gi"),
        ({"type": "Pod", "min": {"cpu": "4"}}, "spec.controller.resources: cpu 1 is below the least, 4"),
        ({"type": "Container", "max": {"ephemeral-storage": "1Gi"}},
         "spec.controller.resources: no limit of ephemeral-storage, and one of at most 1Gi must be set"),
        ({"type": "PersistentVolumeClaim", "min": {"storage": "10Gi"}},
         "spec.controller.storage.size: storage 2Gi is below the least, 10Gi"),
    ],
)  # fmt: skip
def test_what_is_out_of_the_bounds_of_a_limit_range_is_named(item: dict[str, Any], words: str) -> None:
    check = check_limit_ranges(GPUS, [named("bounds", spec={"limits": [item]})])
    assert check.outcome is Outcome.FAILED
    assert words in check.message


def test_what_is_within_the_bounds_of_a_limit_range_is_fine() -> None:
    items = [
        {"type": "Container", "min": {"cpu": "500m"}, "max": {"memory": "32Gi"}, "maxLimitRequestRatio": {"cpu": "1"}},
        {"type": "openshift.io/Image", "max": {"storage": "1"}},
    ]
    assert check_limit_ranges(GPUS, [named("bounds", spec={"limits": items})]).outcome is Outcome.OK
    assert check_limit_ranges(GPUS, []).outcome is Outcome.OK
