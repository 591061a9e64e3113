"""Images: names that can be, which nodes have them, and the Secrets to pull them with."""

from typing import Any

import pytest
from nas_cli.cluster.preflight.check import Check, Outcome, Unread
from nas_cli.cluster.preflight.demand import UNKNOWN_IMAGE, demand_of
from nas_cli.cluster.preflight.images import check_images, check_pull_secrets

from tests.unit.cli.cluster.preflight.objects import SETTINGS, demand, gpu_pool, named, node

SHA = "sha256:" + "0" * 64


def of_workers(image: str, *nodes: dict[str, Any], policy: str = "IfNotPresent") -> Check:
    wanted = demand({"trainer": {"image": image}, "pools": [gpu_pool(), gpu_pool(name="more")]})
    controller, workers = check_images(wanted, nodes, policy)
    assert controller.name == "image of the controller"
    assert workers.name == "image of the pools gpu, more"
    return workers


def with_images(*names: str, **of_node: Any) -> dict[str, Any]:
    found = node("a", gpu="8", **of_node)
    found["status"]["images"] = [{"names": [name]} for name in names]
    return found


@pytest.mark.parametrize(
    "image",
    ["team/train:1", "registry.example:5000/team/train:1.2-rc", f"ghcr.io/a/b@{SHA}", f"a/b:1@{SHA}", "[::1]:5000/a:1"],
)
def test_a_name_that_can_be_one_is_fine(image: str) -> None:
    assert of_workers(image).outcome is Outcome.OK


@pytest.mark.parametrize("image", ["Team/Train:1", "team//train:1", "train:", "https://a/b:1", f"a@{SHA[:-1]}", "a b"])
def test_a_name_that_cannot_be_one_fails(image: str) -> None:
    check = of_workers(image)
    assert check.outcome is Outcome.FAILED
    assert "spec.pools[0].image or spec.trainer.image" in check.advice


def test_a_name_that_moves_is_a_warning_where_nodes_keep_what_they_have() -> None:
    assert of_workers("team/train").outcome is Outcome.WARNING
    assert of_workers("team/train:latest").outcome is Outcome.WARNING
    assert of_workers("team/train", policy="Always").outcome is Outcome.OK


@pytest.mark.parametrize(
    ("image", "on_node"),
    [
        ("team/train:1", "docker.io/team/train:1"),
        ("train:1", "docker.io/library/train:1"),
        ("localhost/train:1", "localhost/train:1"),
        (f"ghcr.io/a/b@{SHA}", f"ghcr.io/a/b@{SHA}"),
    ],
)
def test_nodes_that_have_it_are_counted(image: str, on_node: str) -> None:
    check = of_workers(image, with_images(on_node), with_images("docker.io/other:1"))
    assert check.message == f"{image}: 1 of 2 nodes that it can go to have it"


def test_nodes_that_pods_cannot_go_to_do_not_count() -> None:
    tainted = with_images("docker.io/team/train:1", taints=[{"key": "a", "effect": "NoSchedule"}])
    check = of_workers("team/train:1", tainted, with_images())
    assert check.message == "team/train:1: no node has it of 1 node that it can go to, so it will be pulled"
    assert of_workers("team/train:1", with_images(), policy="Never").outcome is Outcome.WARNING


def test_images_of_an_operator_that_cannot_be_read_are_not_known() -> None:
    settings = SETTINGS.model_copy(update={"controller_image": UNKNOWN_IMAGE, "child_image": UNKNOWN_IMAGE})
    (check,) = check_images(demand_of(demand().search, settings), [], "IfNotPresent")
    assert check.name == "image of the controller and the pool default"
    assert check.outcome is Outcome.WARNING


def test_pull_secrets_must_be_there() -> None:
    account = named("default", imagePullSecrets=[{"name": "registry"}])
    assert check_pull_secrets(account, {"registry": named("registry")}).outcome is Outcome.OK
    assert check_pull_secrets(account, {"registry": None}).outcome is Outcome.FAILED
    assert check_pull_secrets(account, {"registry": Unread("you may not get it")}).outcome is Outcome.WARNING
    assert check_pull_secrets(named("default"), {}).outcome is Outcome.OK
    assert check_pull_secrets(None, {}).outcome is Outcome.FAILED
    assert check_pull_secrets(Unread("you may not get it"), {}).outcome is Outcome.WARNING
