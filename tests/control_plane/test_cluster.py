"""The control plane that the other tests of this folder rest on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.cluster.gpu_nodes import NODE_SELECTOR, TOLERATION
from tests.cluster.lifecycle import temporary_control_plane
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_for


@pytest.fixture
def namespace(control_plane: Cluster, namespace: str) -> str:
    """One in which pods can be made: they need its service account, which comes a moment later."""
    control_plane.kubectl("--namespace", namespace, "wait", "--for=create", "serviceaccount/default", "--timeout=120s")
    return namespace


def gpu_pod(name: str, gpus: int) -> dict[str, object]:
    container = {"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": gpus}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeSelector": NODE_SELECTOR, "tolerations": [TOLERATION], "containers": [container]},
    }


@pytest.fixture
def two_gpu_nodes(control_plane: Cluster) -> Iterator[None]:
    names = control_plane.add_gpu_nodes(2, gpus_per_node=8)
    yield
    control_plane.remove_nodes(names)


def test_the_api_server_answers_and_validates(control_plane: Cluster, namespace: str) -> None:
    control_plane.kubectl("--namespace", namespace, "create", "configmap", "answer", "--from-literal=is=42")
    assert control_plane.kubectl_json("--namespace", namespace, "get", "configmap", "answer")["data"] == {"is": "42"}
    with pytest.raises(CommandError, match="must be no more than 253 characters"):
        control_plane.kubectl("--namespace", namespace, "create", "configmap", "a" * 254)


def test_the_controller_manager_deletes_what_an_object_owned(control_plane: Cluster, namespace: str) -> None:
    labels = {"app": "owned"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "owner"}, "spec": spec}
    control_plane.apply(deployment, namespace=namespace)

    def pods() -> str:
        return control_plane.kubectl("--namespace", namespace, "get", "pods", "-o", "name")

    control_plane.wait_for(pods, "the pod of the deployment")
    control_plane.kubectl("--namespace", namespace, "delete", "deployment", "owner")
    control_plane.wait_for(lambda: not pods(), "the pod to be gone with its owner")


@pytest.mark.usefixtures("two_gpu_nodes")
def test_pods_share_the_gpus_of_simulated_nodes(control_plane: Cluster, namespace: str) -> None:
    """Of three pods with a whole node's GPUs each, two run on the two nodes; the third when another goes."""
    control_plane.apply(*(gpu_pod(f"pod-{i}", gpus=8) for i in range(3)), namespace=namespace)

    def running() -> set[str]:
        pods = control_plane.kubectl_json("--namespace", namespace, "get", "pods")["items"]
        return {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}

    first = control_plane.wait_for(lambda: names if len(names := running()) == 2 else None, "two pods to run")
    (waiting,) = {"pod-0", "pod-1", "pod-2"} - first
    unschedulable = ["wait", "--for=condition=PodScheduled=False", f"pod/{waiting}", "--timeout=120s"]
    control_plane.kubectl("--namespace", namespace, *unschedulable)
    control_plane.kubectl("--namespace", namespace, "delete", "pod", min(first))
    control_plane.wait_for(lambda: waiting in running(), f"{waiting} to run")


@pytest.mark.usefixtures("two_gpu_nodes")
def test_a_pod_that_does_not_ask_for_simulated_nodes_does_not_land_there(
    control_plane: Cluster, namespace: str
) -> None:
    pod = gpu_pod("pod", gpus=1)
    pod["spec"] = {"containers": [{"name": "main", "image": "none"}]}
    control_plane.apply(pod, namespace=namespace)
    control_plane.kubectl(
        "--namespace", namespace, "wait", "--for=condition=PodScheduled=False", "pod/pod", "--timeout=120s"
    )


def test_a_control_plane_ends_with_a_session_that_is_killed() -> None:
    code = (
        "import sys, time; from tests.cluster.lifecycle import temporary_control_plane\n"
        "with temporary_control_plane() as cluster: print(cluster.processes.records, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    session = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert session.stdout is not None
    records = Path(session.stdout.readline().strip())
    processes = Processes(records, records.parent / "log")
    started = processes.all()
    assert {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} <= started.keys()
    session.kill()
    session.wait()
    wait_for(lambda: not any(record.is_alive for record in started.values()), "the processes to end")
    shutil.rmtree(records.parent)


def test_two_control_planes_run_at_once_and_do_not_see_each_other(control_plane: Cluster, namespace: str) -> None:
    with temporary_control_plane() as other:
        assert namespace in control_plane.kubectl("get", "namespaces")
        assert namespace not in other.kubectl("get", "namespaces")
