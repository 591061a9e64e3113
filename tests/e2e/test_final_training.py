"""The second stage on a cluster: its figures in the status, and its weights taken out of the controller's pod."""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from safetensors.torch import load_file

from tests.cluster.cluster import Cluster
from tests.e2e.search import Search, assert_counted_once, quick_search


def test_the_best_are_trained_to_the_end_and_their_weights_can_be_copied_and_exported(
    cluster: Cluster, operator: None, namespace: str, tmp_path: Path
) -> None:
    search = Search(cluster, namespace)
    manifest = quick_search(trials=4, finalTraining={"top": 2, "epochs": 3, "grid": {"learningRate": [0.1, 0.05]}})
    search.apply(manifest)
    search.wait_for_condition("Succeeded")

    assert_counted_once(search, 4)
    final = search.status()["finalTraining"]
    assert (final["trainings"], final["finished"]) == (4, 4), final
    best = json.loads(search.get("configmap", "quick-best")["data"]["trial.json"])
    tested = best["finalTraining"]["metrics"]["test_accuracy"]
    assert 0 < tested <= 1

    # As docs/operations.md has it.
    pod, state = "quick-controller-0", tmp_path / "quick"
    state.mkdir()
    (state / "search.yaml").write_text(yaml.safe_dump(manifest))
    backup = "sqlite3.connect('/var/lib/kubenas/journal.sqlite').backup(sqlite3.connect('/tmp/journal.sqlite'))"
    search.kubectl("exec", pod, "--", "python", "-c", f"import sqlite3; {backup}")
    search.kubectl("cp", f"{pod}:/tmp/journal.sqlite", str(state / "journal.sqlite"))
    search.kubectl("exec", pod, "--", "rm", "/tmp/journal.sqlite")
    search.kubectl("cp", f"{pod}:/var/lib/kubenas/weights", str(state / "weights"))

    command = [sys.executable, "-m", "nas_cli", "export", "best", "--state", str(state), "-o", str(tmp_path / "best")]
    exported = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert exported.returncode == 0, exported.stderr
    assert f"test accuracy {tested:.4f}" in exported.stdout
    assert load_file(tmp_path / "best" / "model.safetensors")
