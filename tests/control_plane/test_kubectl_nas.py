"""`kubectl nas` against a real API server: what it lists and changes, by the rights of its user, and its errors."""

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl_nas import Run, environment_of, failed, succeeded, user_kubeconfig
from tests.control_plane.custom_resources import Object, pool, search
from tests.control_plane.operator_process import OperatorProcess
from tests.control_plane.searches import Namespace, digits

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def searches(cluster: Cluster, namespace: str) -> None:
    """The searches `digits`, with a status and the pool `gpu`, and `words`."""
    spec = {"pools": [{"name": "gpu", "replicas": 2}], "budget": {"maxTrials": 100}}
    cluster.apply(search("digits", spec), search("words"), pool("digits-gpu", {"search": "digits", "pool": "gpu"}),
                  namespace=namespace)  # fmt: skip
    top = [
        {"id": 7, "reward": 0.9, "digest": "a", "parameters": 1200, "finishedAt": NOW},
        {"id": 3, "reward": 0.8, "digest": "b"},
    ]
    status: Object = {
        "conditions": [condition("Ready", "Running")],
        "trials": {"finished": 12, "failed": 1},
        "workers": {"wanted": 2, "alive": 1},
        "bestTrial": top[0],
        "topTrials": top,
    }
    patch_status(cluster, namespace, status)


def condition(kind: str, reason: str) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": NOW}


def patch_status(cluster: Cluster, namespace: str, status: Object) -> None:
    """What an operator would say of `digits`."""
    patch = json.dumps({"status": status})
    cluster.kubectl(
        *("--namespace", namespace, "patch", "nassearch", "digits", "--subresource=status", "--type=merge", "-p", patch)
    )


def test_get_lists_searches_and_how_they_stand(nas: Run, searches: None, namespace: str) -> None:
    header, digits, words = succeeded(nas("get")).splitlines()
    assert header.split() == ["name", "state", "trials", "best", "workers", "age"]
    assert digits.split()[:5] == ["digits", "Running", "12/100", "0.9000", "1/2"]
    assert words.split()[0] == "words"
    everywhere = json.loads(succeeded(nas("get", "-A", "-o", "json")))["items"]
    assert {item["metadata"]["name"] for item in everywhere if item["metadata"]["namespace"] == namespace} == {
        "digits", "words"
    }  # fmt: skip
    (one,) = yaml.safe_load(succeeded(nas("get", "words", "-o", "yaml")))["items"]
    assert (one["kind"], one["metadata"]["name"]) == ("NASSearch", "words")


def test_kubectl_completes_names_of_searches(searches: None, cluster: Cluster, namespace: str) -> None:
    program = Path(sys.executable).parent / "kubectl_complete-nas"

    def completed(*words: str) -> list[str]:
        ran = subprocess.run([program, *words], env=cluster.environment, capture_output=True, text=True, check=True)
        return ran.stdout.splitlines()

    assert completed("trials", "--namespace", namespace, "") == ["digits", "words", ":4"]
    assert completed("show", "best", "-n", namespace, "w") == ["words", ":4"]
    assert completed("trials", "-n", namespace, "none") == [":0"]
    assert completed("pa") == ["pause", ":4"]


def test_pause_and_resume_set_suspend(nas: Run, searches: None, cluster: Cluster, namespace: str) -> None:
    def suspended() -> bool:
        found = cluster.kubectl_json("--namespace", namespace, "get", "nassearch", "digits")
        return bool(found["spec"].get("suspend"))

    assert "digits pauses" in succeeded(nas("pause", "digits"))
    assert suspended()
    assert "is paused already" in succeeded(nas("pause", "digits"))
    assert "digits goes on" in succeeded(nas("resume", "digits"))
    assert not suspended()
    assert "is not paused already" in succeeded(nas("resume", "digits"))


def test_scale_sets_the_workers_of_a_pool(nas: Run, searches: None, cluster: Cluster, namespace: str) -> None:
    assert succeeded(nas("scale", "gpu", "5", "digits")) == "digits: pool gpu from 1 to 5 workers\n"
    found = cluster.kubectl_json("--namespace", namespace, "get", "naspool", "digits-gpu")
    assert found["spec"]["replicas"] == 5
    assert "digits has no pool cpu; it has gpu" in failed(nas("scale", "cpu", "5", "digits"), 2)


def test_without_a_controller_the_status_tells_what_it_knows(nas: Run, searches: None) -> None:
    listed = nas("trials", "digits", "-o", "json")
    assert [(each["trial"], each["reward"]) for each in json.loads(succeeded(listed))] == [(3, 0.8), (7, 0.9)]
    assert "the controller of" in listed.stderr
    assert "there is no pod digits-controller-0" in listed.stderr
    for command in ("best", "bootstrap"):
        asked = nas(command, "digits")
        assert asked.returncode == 1
        assert "the architecture of trial 7 is known to the controller" in asked.stderr
    asked = nas("trials", "digits", "--failed")
    assert (asked.returncode, asked.stdout) == (1, ""), "an empty list would tell that none has failed"
    assert "which trials failed is known to the controller" in asked.stderr


def test_a_report_needs_the_controller_and_the_error_says_how_to_bring_it_back(
    nas: Run, searches: None, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    error = nas("report", "digits", "-o", str(page))
    assert error.returncode == 1
    assert "the course of the search is known to the controller of" in error.stderr
    assert "journal-digits-controller-0" in error.stderr
    assert "kubectl patch" not in error.stderr, "the search runs: its controller will be there"

    stopped = {**condition("ControllerAvailable", "Stopped"), "status": "False"}
    patch_status(
        cluster, namespace, {"conditions": [condition("Succeeded", "BudgetSpent"), stopped], "finishedAt": NOW}
    )
    error = nas("report", "digits", "-o", str(page))
    assert error.returncode == 1
    [command] = re.findall("`(kubectl patch [^`]+)`", error.stderr)
    cluster.kubectl(*shlex.split(command)[1:])
    found = cluster.kubectl_json("--namespace", namespace, "get", "nassearch", "digits")
    hours = int(found["spec"]["controller"]["ttlAfterFinished"].removesuffix("h"))
    goes_at = datetime.fromisoformat(NOW) + timedelta(hours=hours)
    assert timedelta(hours=22) < goes_at - datetime.now(UTC) <= timedelta(hours=24)
    assert not page.exists()


def test_watch_waits_for_the_controller_until_the_search_has_ended(
    searches: None, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """A search that was just applied has none yet, and one that was edited has a new one soon."""
    command = [str(cluster.programs.path("kubectl")), "nas", "watch", "digits", "--namespace", namespace]
    said = tmp_path / "stderr"
    with said.open("w") as file, subprocess.Popen(command, env=environment_of(cluster), stderr=file) as watching:
        waiting = "waiting for the controller: there is no pod digits-controller-0\n"
        cluster.wait_for(lambda: said.read_text() == waiting, "a word about what it waits for")
        patch_status(cluster, namespace, {"conditions": [condition("Succeeded", "BudgetSpent")]})
        assert watching.wait(120) == 1
    assert (
        said.read_text()
        .removeprefix(waiting)
        .startswith(f"error: the controller of {namespace}/digits cannot be asked")
    )


def test_watch_does_not_wait_for_who_may_not_forward_ports(
    nas: Run, space: Namespace, operator: OperatorProcess, tmp_path: Path
) -> None:
    space.apply(digits(replicas=1))
    space.wait_for_workers(1)
    space.kubectl("wait", "pod", "digits-controller-0", "--for=condition=Ready", "--timeout=120s")
    reader = user_kubeconfig(space.cluster, space.name, "", tmp_path / "reader")
    space.kubectl("create", "role", "reader", "--verb=get,list", "--resource=nassearches.kubenas.dev,pods,secrets")
    space.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={space.name}:user-nobody")
    space.cluster.wait_for(lambda: nas("get", kubeconfig=reader).returncode == 0, "the rights of the role")
    line = failed(nas("watch", "digits", kubeconfig=reader), 1)
    assert "cannot be asked: you may not forward ports to pod digits-controller-0, which the role edit" in line


def test_a_search_that_is_not_there_is_told_with_those_that_are(nas: Run, searches: None) -> None:
    assert "has no search digit: there are digits, words" in failed(nas("trials", "digit"), 2)
    assert "several searches" in failed(nas("best"), 2)


def test_a_namespace_without_searches_is_told(nas: Run, cluster: Cluster) -> None:
    assert "there is no search in namespace" in failed(nas("best"), 2)
    assert "no searches in namespace" in succeeded(nas("get"))


def test_who_may_not_is_told_what(nas: Run, searches: None, cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    nobody = user_kubeconfig(cluster, namespace, "", tmp_path / "nobody")
    line = failed(nas("get", kubeconfig=nobody), 1)
    assert "you may not list searches in namespace" in line
    assert "cannot list resource" in line


def test_who_may_view_sees_the_status_and_changes_nothing(
    nas: Run, searches: None, installed: None, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    viewer = user_kubeconfig(cluster, namespace, "view", tmp_path / "viewer")
    # Kubernetes adds the rights to its roles a moment after the chart's roles are there.
    cluster.wait_for(lambda: nas("get", kubeconfig=viewer).returncode == 0, "the rights of view")
    assert json.loads(succeeded(nas("trials", "digits", "-o", "json", kubeconfig=viewer)))
    assert "you may not change the search digits" in failed(nas("pause", "digits", kubeconfig=viewer), 1)
