"""Room on the nodes: which of them take a pod, how many they hold now and when they are empty, and why none does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_cli.cluster.preflight.amounts import requests
from nas_cli.cluster.preflight.check import Check, Outcome, Unread
from nas_cli.cluster.preflight.nodes import Node, place
from nas_cli.cluster.preflight.room import Nodes, check_room

from tests.unit.cli.cluster.preflight.objects import demand, gpu_pool, named, node, pod_on

GPU_TAINT = {"key": "gpu", "value": "true", "effect": "NoSchedule"}
FOR_GPUS = {"tolerations": [{"key": "gpu", "value": "true"}], "nodeSelector": {"gpu": "a100"}}


def of_pool(nodes: Nodes, *pools: dict[str, Any]) -> Check:
    """The check of the first pool."""
    return check_room(demand({"pools": list(pools)}), nodes)[1]


def test_workers_that_fit_are_counted_now_and_on_empty_nodes() -> None:
    nodes = Nodes([node("a", gpu="8"), node("b", gpu="4")], [pod_on("a", gpu="6", cpu="8")])
    check = of_pool(nodes, gpu_pool(5))
    assert check.outcome is Outcome.OK
    assert check.message == "5 of 5 workers fit now; 12 if the nodes were empty"


def test_workers_that_do_not_fit_wait() -> None:
    nodes = Nodes([node("a", gpu="8")], [pod_on("a", gpu="6")])
    check = of_pool(nodes, gpu_pool(4))
    assert check.outcome is Outcome.WARNING
    assert "2 of 4 workers fit now; 8 if" in check.message


def test_whatever_runs_out_first_bounds_them() -> None:
    tight = Nodes([node("a", gpu="8", memory="100Gi")], [])
    assert "3 of 4 workers fit now" in of_pool(tight, gpu_pool(4)).message
    full = Nodes([node("a", gpu="8", pods="3")], [pod_on("a")])
    # One place is the controller's.
    assert "1 of 4 workers fit now" in of_pool(full, gpu_pool(4)).message


def test_pods_that_have_ended_and_those_of_the_search_itself_take_no_room() -> None:
    own = {"kubenas.dev/search": "digits"}
    there = [pod_on("a", "Succeeded", gpu="4"), pod_on("a", "Failed", gpu="4"), pod_on("a", labels=own, gpu="4")]
    assert "7 of 7 workers fit now" in of_pool(Nodes([node("a", gpu="8")], there), gpu_pool(7)).message


def test_pools_share_the_nodes() -> None:
    nodes = Nodes([node("a", gpu="8", cpu="128", memory="1Ti")], [])
    checks = check_room(demand({"pools": [gpu_pool(6), gpu_pool(6, "more")]}), nodes)
    assert [check.message.split(";")[0] for check in checks[1:]] == ["6 of 6 workers fit now", "2 of 6 workers fit now"]


def test_pods_without_gpus_leave_the_nodes_with_gpus_to_those_that_need_them() -> None:
    plain = {"name": "plain", "replicas": 3, "resources": {"cpu": "8"}}
    nodes = Nodes([node("gpus", gpu="4", cpu="32", memory="128Gi"), node("cores", cpu="40")], [])
    checks = check_room(demand({"pools": [plain, gpu_pool(4)]}), nodes)
    assert [check.outcome for check in checks] == [Outcome.OK] * 3


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([], "there is no node that is ready"),
        ([node("a", gpu="8")], "none of 1 node has the labels gpu=a100"),
        (
            [node("a", labels={"gpu": "a100"}, taints=[GPU_TAINT | {"value": "spot"}], gpu="8")],
            "no node of those with gpu=a100 is without a taint that is not tolerated: gpu=spot:NoSchedule",
        ),
        (
            [node("a", labels={"gpu": "a100"}, taints=[GPU_TAINT], gpu="8", memory="16Gi")],
            "no node of those with gpu=a100 has nvidia.com/gpu 1, cpu 8, memory 32Gi, even when it is empty",
        ),
    ],
)
def test_a_pool_that_no_node_takes_is_told_why(nodes: list[dict[str, Any]], why: str) -> None:
    check = of_pool(Nodes(nodes, []), gpu_pool(**FOR_GPUS))
    assert (check.outcome, check.message) == (Outcome.FAILED, why)
    assert check.advice.startswith("Correct spec.pools[0]")


def test_nodes_that_are_cordoned_or_not_ready_take_nothing() -> None:
    cordoned, lost = node("a", gpu="8"), node("b", gpu="8")
    cordoned["spec"]["unschedulable"] = True
    lost["status"]["conditions"][0]["status"] = "Unknown"
    assert of_pool(Nodes([cordoned, lost], []), gpu_pool()).message == "there is no node that is ready"


def test_a_tainted_node_takes_pods_that_tolerate_it() -> None:
    labels = {"gpu": "a100"}
    evicting = GPU_TAINT | {"effect": "NoExecute"}
    preferring = {"key": "anything", "effect": "PreferNoSchedule"}
    nodes = Nodes([node("a", labels=labels, taints=[GPU_TAINT, evicting, preferring], gpu="8")], [])
    assert of_pool(nodes, gpu_pool(**FOR_GPUS)).outcome is Outcome.OK
    everything = FOR_GPUS | {"tolerations": [{"operator": "Exists"}]}
    assert of_pool(nodes, gpu_pool(**everything)).outcome is Outcome.OK
    other = FOR_GPUS | {"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]}
    assert of_pool(nodes, gpu_pool(**other)).outcome is Outcome.FAILED


def test_where_nodes_are_added_at_need_none_that_fits_is_no_failure() -> None:
    check = of_pool(Nodes([], [], autoscaler="Karpenter"), gpu_pool())
    assert check.outcome is Outcome.WARNING
    assert "Karpenter may add some that do" in check.message


def test_a_pool_that_is_scaled_automatically_is_told_with_its_bounds() -> None:
    scaler = named("gpu-scaler", spec={"scaleTargetRef": {"kind": "NASPool", "name": "digits-gpu"}, "maxReplicas": 32})
    other = named("web", spec={"scaleTargetRef": {"kind": "Deployment", "name": "digits-gpu"}, "maxReplicas": 9})
    check = of_pool(Nodes([node("a", gpu="8")], [], scaled=[other, scaler]), gpu_pool())
    assert "gpu-scaler scales it from 1 to 32" in check.message


def test_a_runtime_class_counts_with_its_overhead_and_its_nodes() -> None:
    kata = named("kata", overhead={"podFixed": {"memory": "200Gi"}}, scheduling={"nodeSelector": {"kata": "yes"}})
    pool = gpu_pool(8, runtimeClassName="kata")
    nodes = [node("a", gpu="8"), node("b", labels={"kata": "yes"}, gpu="8")]
    assert "1 if the nodes were empty" in of_pool(Nodes(nodes, [], runtime_classes=[kata]), pool).message


def test_what_a_limit_range_adds_counts() -> None:
    item = {"type": "Container", "defaultRequest": {"memory": "64Gi"}, "default": {"memory": "64Gi"}}
    bare = {"name": "bare", "replicas": 8}
    nodes = Nodes([node("a")], [], limit_ranges=[named("defaults", spec={"limits": [item]})])
    assert "4 if the nodes were empty" in of_pool(nodes, bare).message


def test_who_may_not_see_nodes_or_pods_is_told() -> None:
    (check,) = check_room(demand(), Nodes(Unread("you may not list nodes"), []))
    assert (check.outcome, check.message) == (Outcome.WARNING, "cannot be told: you may not list nodes")
    partly = of_pool(Nodes([node("a", gpu="8")], Unread("you may not list pods")), gpu_pool())
    assert partly.message == "how many fit now cannot be told: you may not list pods; 8 if the nodes were empty"
    assert partly.outcome is Outcome.OK


def test_devices_that_nodes_do_not_list_are_not_counted() -> None:
    pool = {"name": "dra", "resources": {"deviceclass.resource.kubernetes.io/gpu.nvidia.com": "1", "cpu": "1"}}
    check = of_pool(Nodes([node("a")], []), pool)
    assert check.outcome is Outcome.OK
    assert "devices of deviceclass.resource.kubernetes.io/gpu.nvidia.com are not counted" in check.message


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 64), st.integers(0, 5)), max_size=6),
    st.integers(0, 60),
)
def test_no_node_gets_more_than_it_has_and_none_is_left_with_room(
    sizes: list[tuple[int, int, int]], wanted: int
) -> None:
    pod = demand({"pools": [gpu_pool()]}).parts[1].pod
    nodes = [
        Node.of(node(f"n{i}", gpu=str(gpus), cpu=str(cores), pods=str(pods)))
        for i, (gpus, cores, pods) in enumerate(sizes)
    ]
    count, placed = place(pod, wanted, nodes)
    assert count <= wanted
    assert all(amount >= 0 for each in placed for amount in each.free.values())
    before = sum(each.free["nvidia.com/gpu"] for each in nodes)
    assert before - sum(each.free["nvidia.com/gpu"] for each in placed) == count * requests(pod)["nvidia.com/gpu"]
    assert count == wanted or all(each.room_for(pod) == 0 for each in placed)
