"""`kubectl nas preflight` against a real API server with simulated GPU nodes: what it says of clusters that can and
cannot run a manifest, by the rights of who asks, and that it changes nothing."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.gpu_nodes import NODE_SELECTOR, TOLERATION
from tests.cluster.kubectl_nas import Run, failed, user_kubeconfig
from tests.control_plane.rights import CHART, RELEASE
from tests.control_plane.searches import Namespace, digits

IMAGES = "images.repository=registry.example,images.tag=1,settings.storageAccessMode=ReadWriteOnce"
SELECTOR = "nodeSelector.kubenas\\.dev/simulated=true"


@pytest.fixture
def space(space: Namespace) -> Namespace:
    """One with all that Kubernetes itself puts there a moment later, which must not look like a change."""
    space.kubectl("wait", "--for=create", "--timeout=120s", "serviceaccount/default", "configmap/kube-root-ca.crt")
    return space


@pytest.fixture
def with_operator(space: Namespace) -> Namespace:
    """A namespace with the chart's operator, which a simulated node says to run."""
    tolerations = f"tolerations={json.dumps([TOLERATION])}"
    rendered = space.cluster.helm(
        "template", RELEASE, CHART, "--namespace", space.name, "--set", f"watchNamespaces={{{space.name}}}",
        "--set-string", f"{IMAGES},{SELECTOR}", "--set-json", tolerations,
        "-s", "templates/deployment.yaml", "-s", "templates/serviceaccount.yaml",
    )  # fmt: skip
    space.apply(*(document for document in yaml.safe_load_all(rendered) if document))
    space.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=120s")
    return space


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "search.yaml"


def write(path: Path, **more: Any) -> str:
    """The digits sample with 3 workers of a GPU each, and parts of the spec to add."""
    path.write_text(yaml.safe_dump(digits(**more)))
    return str(path)


def checks(ran: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, str]]:
    """What came out, by the name of the check."""
    assert ran.stdout, ran.stderr
    return {check["check"]: check for check in json.loads(ran.stdout)["checks"]}


def test_a_cluster_that_can_run_it_passes_every_check_and_is_not_changed(
    nas: Run, with_operator: Namespace, manifest: Path
) -> None:
    everything = "pods,nassearches,secrets,configmaps,statefulsets,jobs,persistentvolumeclaims"
    before = with_operator.kubectl("get", everything, "-o", "name")
    ran = nas("preflight", write(manifest), "-o", "json")
    assert ran.returncode == 0, ran.stdout
    found = checks(ran)
    assert {name: check["message"] for name, check in found.items() if check["outcome"] != "ok"} == {}
    assert found["nodes for the pool gpu"]["message"] == "3 of 3 workers fit now; 48 if the nodes were empty"
    assert "is free for it" in found["journal volume"]["message"]
    assert found["image of the pool gpu"]["message"].startswith("registry.example/child:1: ")
    assert with_operator.kubectl("get", everything, "-o", "name") == before


def test_workers_that_have_to_wait_are_warnings(nas: Run, with_operator: Namespace, manifest: Path) -> None:
    with_operator.kubectl("create", "quota", "gpus", "--hard=requests.nvidia.com/gpu=40")
    with_operator.cluster.wait_for(
        lambda: with_operator.json("get", "quota", "gpus").get("status", {}).get("used"), "the quota to be counted"
    )
    ran = nas("preflight", write(manifest, replicas=64), "-o", "json")
    assert ran.returncode == 0, ran.stdout
    found = checks(ran)
    assert {name for name, check in found.items() if check["outcome"] == "warning"} == {
        "quota gpus", "nodes for the pool gpu"
    }  # fmt: skip
    assert "requests.nvidia.com/gpu 64 of 40" in found["quota gpus"]["message"]
    assert found["nodes for the pool gpu"]["message"].startswith("48 of 64 workers fit now")


def test_a_cluster_that_cannot_run_it_says_all_that_is_wrong(nas: Run, space: Namespace, manifest: Path) -> None:
    space.kubectl("create", "quota", "none", "--hard=requests.nvidia.com/gpu=0")
    bounds = {"type": "Container", "max": {"nvidia.com/gpu": "4"}}
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": [bounds]}}
    space.apply(limits)
    pool = {
        "name": "gpu",
        "replicas": 2,
        "resources": {"nvidia.com/gpu": "16"},
        "nodeSelector": NODE_SELECTOR,
        "tolerations": [TOLERATION],
        "priorityClassName": "missing",
        "runtimeClassName": "absent",
        "image": "Not An Image",
        "queue": "research",
    }
    trainer = {
        "dataset": {"path": "/data"},
        "volumes": [{"claimName": "images", "mountPath": "/data"}],
        "environmentSecret": "token",
    }
    controller = {"storage": {"storageClassName": "fast"}, "nodeSelector": {"zone": "none"}}
    ran = nas("preflight", write(manifest, pools=[pool], trainer=trainer, controller=controller), "-o", "json")
    assert ran.returncode == 1
    found = checks(ran)
    assert {name for name, check in found.items() if check["outcome"] == "failed"} == {
        "operator", "pod of the pool gpu", "limit ranges", "quota none", "nodes for the controller",
        "nodes for the pool gpu", "journal volume", "data volume images", "secret token", "image of the pool gpu",
        "priority class missing", "runtime class absent",
    }  # fmt: skip
    assert "no Kueue" in found["queue research"]["message"]
    assert "none of" in found["nodes for the controller"]["message"]
    assert "nvidia.com/gpu 16, even when it is empty" in found["nodes for the pool gpu"]["message"]
    assert all(check["advice"] for check in found.values() if check["outcome"] == "failed")


def test_the_api_server_itself_is_asked(nas: Run, with_operator: Namespace, manifest: Path) -> None:
    with_operator.apply(digits())
    same = checks(nas("preflight", write(manifest), "-o", "json"))
    assert "as a change of the search that is there" in same["manifest"]["message"]
    ran = nas("preflight", write(manifest), "--set", "spec.seed=7", "-o", "json")
    assert ran.returncode == 1
    assert "seed" in checks(ran)["manifest"]["message"]


def test_people_get_a_table(nas: Run, space: Namespace, manifest: Path) -> None:
    ran = nas("preflight", write(manifest))
    assert ran.returncode == 1
    assert "→ Name a class in spec.controller.storage.storageClassName, or make a volume." in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith(f"{space.name}/digits cannot run: 2 failed")


def test_who_may_edit_is_told_what_could_not_be_seen(
    nas: Run, with_operator: Namespace, installed: None, manifest: Path, tmp_path: Path
) -> None:
    editor = user_kubeconfig(with_operator.cluster, with_operator.name, "edit", tmp_path / "editor")
    file = write(manifest)
    # Kubernetes adds the rights to its roles a moment after the chart's roles are there, perhaps one after the other.
    create = ("auth", "can-i", "create", "nassearches.kubenas.dev")
    with_operator.cluster.wait_for(
        lambda: (
            nas("get", kubeconfig=editor).returncode == 0 and with_operator.kubectl(*create, "--kubeconfig", editor)
        ),
        "the rights of edit",
    )
    ran = nas("preflight", file, "-o", "json", kubeconfig=editor)
    assert ran.returncode == 0, ran.stdout
    found = checks(ran)
    assert found["nodes"]["message"] == "cannot be told: you may not list nodes"
    assert {name for name, check in found.items() if check["outcome"] == "warning"} == {"nodes", "journal volume"}
    assert found["operator"]["outcome"] == found["pod of the pool gpu"]["outcome"] == "ok"


def test_who_may_only_view_may_not_make_a_search(
    nas: Run, space: Namespace, installed: None, manifest: Path, tmp_path: Path
) -> None:
    viewer = user_kubeconfig(space.cluster, space.name, "view", tmp_path / "viewer")
    space.cluster.wait_for(lambda: nas("get", kubeconfig=viewer).returncode == 0, "the rights of view")
    ran = nas("preflight", write(manifest), "-o", "json", kubeconfig=viewer)
    assert ran.returncode == 1
    assert checks(ran)["your rights"]["outcome"] == "failed"


def test_a_namespace_in_the_manifest_and_another_on_the_command_line_contradict(nas: Run, manifest: Path) -> None:
    manifest.write_text(yaml.safe_dump(digits() | {"metadata": {"name": "digits", "namespace": "elsewhere"}}))
    assert "leave one of them out" in failed(nas("preflight", str(manifest)), 2)
