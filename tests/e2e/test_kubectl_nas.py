"""`kubectl nas` on a real search: through a port-forward to its controller, and from what is left when that is gone."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl_nas import kubectl_nas, succeeded
from tests.e2e.installation import REPOSITORY, ROOT, TAG, Installation
from tests.e2e.search import PATIENCE, Search, assert_counted_once, quick_search

SAMPLE = ROOT / "manifests" / "samples" / "digits.yaml"
CHILD = f"{REPOSITORY}/child:{TAG}"


@pytest.fixture
def search(cluster: Cluster, operator: Installation, namespace: str) -> Search:
    """A search that runs."""
    search = Search(cluster, namespace)
    search.apply(quick_search())
    search.wait_for_trials(8)
    return search


def test_results_are_those_of_the_controller_and_after_it_those_of_the_status(search: Search, tmp_path: Path) -> None:
    run = kubectl_nas(search.cluster, search.namespace)

    def nas(*arguments: str) -> str:
        return succeeded(run(*arguments))

    trained = next(trial for trial in search.trials() if trial.sequence and trial.worker_id in search.workers())
    assert nas("logs", str(trained.trial_id)).startswith(f"--- trial {trained.trial_id}, attempt 1, worker ")
    trials = search.end_after(40)  # so many that some finish while it watches
    watched = nas("watch", search.name, "--no-live")
    assert re.search(rf"\d+/{trials} trial", watched), watched
    assert f"{search.name} has ended" in watched
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)  # so that no result comes while commands are compared

    told = {trial.trial_id: trial for trial in search.trials()}
    listed = json.loads(nas("trials", "-o", "json"))
    assert [document["trial"] for document in listed] == list(told)
    finished = {document["trial"]: document["reward"] for document in listed if document["sequence"]}
    assert finished == pytest.approx({number: trial.reward for number, trial in told.items() if trial.sequence})
    assert all(document["measurements"] for document in listed if document["state"] == "Succeeded")
    best = json.loads(nas("best", search.name, "-o", "json"))
    assert best["reward"] == max(finished.values())
    assert json.loads(nas("show", str(best["trial"]), "-o", "json")) == best
    assert [row["trial"] for row in csv.DictReader(io.StringIO(nas("trials", "--limit", "3", "-o", "csv")))] == [
        str(number) for number in list(told)[-3:]
    ]
    nas("plot", "-o", str(tmp_path / "curve.png"))
    nas("plot", "--trial", "best", "-o", str(tmp_path / "best.svg"))
    assert (tmp_path / "curve.png").stat().st_size > 10_000
    assert "best" in nas("compare", search.name)
    nas("export", "best", "-o", str(tmp_path / "network"))
    assert {file.name for file in (tmp_path / "network").iterdir()} >= {"model.py", "model.safetensors", "model.onnx"}

    search.patch({"spec": {"controller": {"ttlAfterFinished": "1s"}}})
    search.wait(lambda: not search.owned("pods", "controller"), "no controller")
    gone = run("best", "-o", "json")
    assert gone.returncode == 0, gone.stderr
    assert "cannot be asked: there is no pod quick-controller-0" in gone.stderr
    left = json.loads(gone.stdout)
    assert (left["trial"], left["architecture"]) == (best["trial"], best["architecture"])
    assert best["trial"] in [document["trial"] for document in json.loads(nas("trials", "-o", "json"))]
    lost = run("plot", "-o", str(tmp_path / "lost.png"))
    assert lost.returncode == 1
    assert "journal-quick-controller-0" in lost.stderr
    assert "Traceback" not in lost.stderr


def test_a_report_tells_of_search_and_random_twin_once_the_controller_is_brought_back_as_its_error_says(
    search: Search, tmp_path: Path
) -> None:
    run = kubectl_nas(search.cluster, search.namespace)
    page = tmp_path / "report.html"
    report = ("report", search.name, "-o", str(page), "--price", "default=2.5")
    search.patch({"spec": {"controller": {"ttlAfterFinished": "1s"}}})
    trials = search.end_after(4)
    twin = Search(search.cluster, search.namespace, f"{search.name}-random")
    manifest = quick_search(twin.name, trials=8)
    manifest["spec"]["controller"]["algorithm"] = {"type": "Random"}
    search.wait_for_condition("ControllerAvailable", "False", reason="Stopped")
    ended = search.wait_for_condition("Succeeded")["message"]
    [at] = re.findall(r"^(\d+) trials have finished \(budget.maxTrials\)$", ended)
    assert int(at) >= trials
    twin.apply(manifest)
    twin.wait_for_condition("Succeeded")

    stopped = run(*report)
    assert stopped.returncode == 1, stopped
    assert not page.exists()
    [command] = re.findall("`(kubectl patch [^`]+)`", stopped.stderr)
    search.cluster.kubectl(*shlex.split(command)[1:])
    search.wait(lambda: run(*report).returncode == 0, "a report")
    assert run(*report).stderr == "", "nothing is left out"
    text = page.read_text()
    assert f"The search has ended: {ended}" in text
    [trainings] = re.findall(r'data-name="trainings" class="number">(\d+)<', text)
    assert int(trainings) >= int(at), "those that were given back when the search ended are among them"
    for words in ("random twin: best so far", "Workers that trained", "Baseline", "EUR", 'class="card"'):
        assert words in text


def test_preflight_says_of_the_sample_and_of_one_that_no_node_can_run_what_is_true(
    cluster: Cluster, operator: Installation, namespace: str, tmp_path: Path
) -> None:
    nas = kubectl_nas(cluster, namespace)

    def checks(exit_status: int, *arguments: str) -> dict[str, dict[str, str]]:
        ran = nas("preflight", *arguments, "-o", "json")
        assert ran.returncode == exit_status, ran
        return {check["check"]: check for check in json.loads(ran.stdout)["checks"]}

    if cluster.is_ours:  # whose node tells which images it has a while after they were loaded
        told = ("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}")
        cluster.wait_for(lambda: CHILD in cluster.kubectl(*told).split(), f"the node to tell of {CHILD}", PATIENCE)
    # With the volumes of our own cluster that is no matter of course: no CSI driver makes them.
    by_any_provisioner = ("--set", "spec.controller.storage.accessMode=ReadWriteOnce")
    found = checks(0, str(SAMPLE), *by_any_provisioner)
    assert {name: check["message"] for name, check in found.items() if check["outcome"] != "ok"} == {}
    assert f"operator:{TAG}" in found["operator"]["message"]
    assert found["nodes for the pool default"]["message"].startswith("2 of 2 workers fit now")
    if cluster.is_ours:
        image = found["image of the pool default"]["message"]
        assert image == f"{CHILD}: 1 of 1 node that it can go to have it"
        unsure = {name for name, check in checks(0, str(SAMPLE)).items() if check["outcome"] != "ok"}
        assert unsure == {"journal volume"}

    manifest = tmp_path / "gpu.yaml"
    document = yaml.safe_load(SAMPLE.read_text())
    document["spec"]["pools"][0]["resources"] = {"nvidia.com/gpu": "100"}
    manifest.write_text(yaml.safe_dump(document))
    found = checks(1, str(manifest), *by_any_provisioner)
    assert {name for name, check in found.items() if check["outcome"] != "ok"} == {"nodes for the pool default"}
    [pool] = [check for check in found.values() if check["outcome"] == "failed"]
    assert pool["message"] == "no node has nvidia.com/gpu 100, even when it is empty"
    assert pool["advice"].startswith("Correct spec.pools[0]: resources")
    assert not cluster.kubectl("--namespace", namespace, "get", "nassearches,pods", "-o", "name"), "nothing was made"
