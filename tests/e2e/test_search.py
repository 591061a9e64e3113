"""The digits sample, as a researcher runs it: from `kubectl apply` to a network that trains."""

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.e2e.installation import Installation
from tests.e2e.search import Search, assert_counted_once, quick_search

SAMPLE = Path(__file__).parents[2] / "manifests" / "samples" / "digits.yaml"


def test_an_installation_is_found_well_by_its_own_test(operator: Installation) -> None:
    assert "Succeeded" in operator.test()


def test_the_digits_sample_runs_from_apply_to_a_best_architecture_that_trains(
    cluster: Cluster, operator: None, namespace: str, tmp_path: Path
) -> None:
    search = Search(cluster, namespace, "digits")
    applied = time.time()
    search.kubectl("apply", "-f", str(SAMPLE))
    end = search.wait_for_condition("Succeeded", timeout=1200)
    assert end["reason"] == "BudgetSpent", end

    # Real networks have been trained, and each was counted once.
    assert_counted_once(search, 120)
    status = search.status()
    trials = search.trials()
    assert status["bestTrial"]["reward"] == max(t.reward for t in trials if t.state == "Succeeded") > 0.5
    # All but those that were given the result of the same architecture.
    assert all((trial.train_seconds > 0) == (not trial.replay_of) for trial in trials if trial.state == "Succeeded")
    assert status["updates"] == 120 // 4

    first = min(trial.finished_at - trial.train_seconds for trial in trials if trial.sequence)
    finished = datetime.fromisoformat(status["finishedAt"]).timestamp()
    print(f"\nfrom kubectl apply to the first training {first - applied:.1f} s, to the end {finished - applied:.1f} s")

    # Its workers have gone by themselves; what can be asked stays.
    search.wait(lambda: not search.owned("jobs,pods", "worker"), "no workers", 60)
    header, row = search.kubectl("get", "nassearch", "digits").splitlines()
    assert header.split() == ["NAME", "STATE", "SUCCEEDED", "TRIALS", "OF", "BEST", "WORKERS", "WANTED", "AGE"]
    columns = row.split()
    assert columns[:5] == ["digits", "BudgetSpent", "True", "120", "120"]
    assert float(columns[5]) == status["bestTrial"]["reward"]
    described = search.kubectl("describe", "nassearch", "digits")
    for event in ("ControllerStarted", "Succeeded"):
        assert event in described

    best = search.get("configmap", "digits-best")["data"]
    assert json.loads(best["architecture.json"])
    module = tmp_path / "model.py"
    module.write_text(best["model.py"])
    trained = subprocess.run([sys.executable, module], capture_output=True, text=True, timeout=300, check=False)
    assert trained.returncode == 0, trained.stderr
    assert "loss" in trained.stdout

    search.kubectl("delete", "-f", str(SAMPLE))
    search.wait_until_gone()
    claims = cluster.kubectl_json("--namespace", namespace, "get", "persistentvolumeclaims")["items"]
    assert len(claims) == 1, "deletionPolicy Retain keeps the journal"


def test_with_deletion_policy_delete_the_journal_goes_too(cluster: Cluster, operator: None, namespace: str) -> None:
    search = Search(cluster, namespace)
    search.apply(quick_search(trials=4, deletionPolicy="Delete"))
    search.wait_for_condition("Succeeded")
    search.kubectl("delete", "nassearch", "quick")
    search.wait_until_gone()
    search.wait(
        lambda: not cluster.kubectl_json("--namespace", namespace, "get", "persistentvolumeclaims")["items"],
        "no volume",
        60,
    )
