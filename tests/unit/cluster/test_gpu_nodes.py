"""Simulated nodes."""

import pytest

from tests.cluster.gpu_nodes import NODE_SELECTOR, TAINT, TOLERATION, new_nodes, takes_pods


def test_names_that_are_taken_are_left_out() -> None:
    names = [node["metadata"]["name"] for node in new_nodes(3, 8, taken={"gpu-0000", "gpu-0002"})]
    assert names == ["gpu-0001", "gpu-0003", "gpu-0004"]


def test_a_node_offers_its_gpus_to_pods_that_ask_for_it() -> None:
    (node,) = new_nodes(1, 4)
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert NODE_SELECTOR.items() <= node["metadata"]["labels"].items()
    assert node["spec"]["taints"] == [TAINT]
    assert (TOLERATION["key"], TOLERATION["effect"]) == (TAINT["key"], TAINT["effect"])


@pytest.mark.parametrize(
    ("ready", "taints", "takes"),
    [
        ("True", [TAINT], True),
        ("Unknown", [TAINT], False),
        ("True", [TAINT, {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}], False),
    ],
)
def test_a_node_takes_pods_when_it_is_ready_and_kubernetes_has_seen_it(
    ready: str, taints: list[dict[str, str]], takes: bool
) -> None:
    (node,) = new_nodes(1, 4)
    assert not takes_pods(node)
    node["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    node["spec"]["taints"] = taints
    assert takes_pods(node) is takes
