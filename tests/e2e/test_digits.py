"""The digits sample, as a researcher runs it: from `kubectl apply` to a network that trains. Prometheus watches it."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import namespace_for
from tests.e2e.installation import ROOT, Installation
from tests.e2e.monitoring import watching_prometheus
from tests.e2e.search import Search, assert_counted_once
from tests.monitoring.dashboards import NAMES, queries, wait_for_data
from tests.monitoring.pod_discovery import pod_discovery
from tests.monitoring.prometheus import Prometheus, needs_prometheus, running_prometheus

SAMPLE = ROOT / "manifests" / "samples" / "digits.yaml"


@dataclass(frozen=True)
class Run(Search):
    """The search, which all tests here look at.

    Attributes:
        applied: when, in Unix seconds.
    """

    applied: float = 0.0


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with namespace_for(cluster, "digits", wait=True) as name:
        yield name


@pytest.fixture(scope="module")
def prometheus(operator: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus | None]:
    """With rules of ten times their pace. None where there can be none."""
    with watching_prometheus(operator, tmp_path_factory.mktemp("prometheus"), faster=10) as prometheus:
        yield prometheus


@pytest.fixture(scope="module")
def digits(cluster: Cluster, namespace: str, prometheus: Prometheus | None) -> Run:
    """It has just been applied, or has ended if a test has waited for that."""
    search = Run(cluster, namespace, "digits", applied=time.time())
    search.kubectl("apply", "-f", str(SAMPLE))
    return search


# Run by a pod, with what it shall connect to.
CONNECT = """
import socket, sys
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        print("open")
    except TimeoutError:
        print("closed")
"""


@needs_prometheus
def test_every_query_of_the_dashboards_finds_data_and_no_alert_tells_of_trouble(
    digits: Run, prometheus: Prometheus | None
) -> None:
    if prometheus is None:
        pytest.skip("pods of an existing cluster may be out of reach for a Prometheus on this machine")
    chosen = {"datasource": "test", "namespace": digits.namespace, "search": digits.name, "price": "2.50"}
    wait_for_data(prometheus, [query for name in NAMES for query in queries(name, chosen)], timeout=600)
    print(f"\nevery query has found something {time.time() - digits.applied:.1f} s after kubectl apply")
    scraped = {
        (series.labels["job"], series.labels["pod"]) for series in prometheus.instant("max_over_time(up[1m]) == 1")
    }
    [operator_pod] = digits.cluster.kubectl_json("get", "pods", "-A", "-l", "kubenas.dev/operator=true")["items"]
    assert scraped == {
        ("kubenas-system/kubenas-nas-operator", operator_pod["metadata"]["name"]),
        ("kubenas-system/kubenas-nas-operator-controllers", "digits-controller-0"),
    }
    assert not prometheus.instant('{exported_namespace!=""}')

    digits.wait_for_condition("Succeeded", timeout=1200)
    since = time.time() - digits.applied
    assert prometheus.range("namespace_search_pool:nas_workers_busy:ratio == 1", since), "the rules are evaluated"
    fired = {series.labels["alertname"] for series in prometheus.range('ALERTS{alertstate="firing"}', since)}
    # A journal's volume is a directory of this machine here, whose disk may be rather full.
    assert fired <= {"NASBudgetNearlySpent", "NASJournalVolumeFilling"}


@needs_prometheus
def test_the_configuration_that_the_documentation_has_finds_the_same_pods(
    digits: Run, prometheus: Prometheus | None, tmp_path: Path
) -> None:
    if prometheus is None:
        pytest.skip("pods of an existing cluster may be out of reach for a Prometheus on this machine")
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "metrics.md").read_text(), re.DOTALL | re.MULTILINE)
    [documented] = [block for block in blocks if "kubernetes_sd_configs" in block]
    jobs = yaml.safe_load(documented)["scrape_configs"]
    about = f'{{namespace="{digits.namespace}", search="digits"}}'
    asked = [f"nas_search_info{about}", f"nas_search_lease_duration_seconds{about}"]
    with pod_discovery(digits.cluster) as discovery:
        for job in jobs:
            assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
            job["http_sd_configs"] = [{"url": discovery}]
        with running_prometheus(tmp_path, discovering=jobs) as another:
            digits.wait(lambda: all(map(another.instant, asked)), "scrapes of controller and operator")
            assert {series.labels["job"] for series in another.instant("up")} == {job["job_name"] for job in jobs}


def test_nobody_else_reaches_controller_and_operator(digits: Run) -> None:
    """What Prometheus scrapes is not for all: a pod in the same namespace is kept out."""
    if not digits.cluster.is_ours:
        pytest.skip("an existing cluster may have a network without policies")
    digits.wait_for_trials(1)
    controller = digits.get("pod", "digits-controller-0")
    [operator] = digits.cluster.kubectl_json("get", "pods", "-A", "-l", "kubenas.dev/operator=true")["items"]
    closed = [(controller, 9464), (controller, 50051), (operator, 8080)]
    addresses = [f"{pod['status']['podIP']}:{port}" for pod, port in closed]
    image = f"--image={controller['spec']['containers'][0]['image']}"
    command = ["--command", "--", "python", "-c", CONNECT, *addresses, "kubernetes.default.svc:443"]
    digits.kubectl("run", "stranger", image, "--restart=Never", *command)
    digits.kubectl("wait", "pod/stranger", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=600s", timeout=660)
    assert digits.kubectl("logs", "stranger").split() == ["closed", "closed", "closed", "open"]


def test_it_ends_with_a_best_architecture_that_trains(digits: Run, tmp_path: Path) -> None:
    end = digits.wait_for_condition("Succeeded", timeout=1200)
    assert end["reason"] == "BudgetSpent", end

    # Real networks have been trained, and each was counted once.
    assert_counted_once(digits, 120)
    status = digits.status()
    trials = digits.trials()
    assert status["bestTrial"]["reward"] == max(t.reward for t in trials if t.state == "Succeeded") > 0.5
    # All but those that were given the result of the same architecture.
    assert all((trial.train_seconds > 0) == (not trial.replay_of) for trial in trials if trial.state == "Succeeded")
    assert status["updates"] == 120 // 4

    first = min(trial.finished_at - trial.train_seconds for trial in trials if trial.sequence)
    finished = datetime.fromisoformat(status["finishedAt"]).timestamp()
    print(
        f"\nfrom kubectl apply to the first training {first - digits.applied:.1f} s, "
        f"to the end {finished - digits.applied:.1f} s"
    )

    # Its workers have gone by themselves; what can be asked stays.
    digits.wait(lambda: not digits.owned("jobs,pods", "worker"), "no workers")
    header, row = digits.kubectl("get", "nassearch", "digits").splitlines()
    assert header.split() == ["NAME", "STATE", "SUCCEEDED", "TRIALS", "OF", "BEST", "WORKERS", "WANTED", "AGE"]
    columns = row.split()
    assert columns[:5] == ["digits", "BudgetSpent", "True", "120", "120"]
    assert float(columns[5]) == status["bestTrial"]["reward"]
    described = digits.kubectl("describe", "nassearch", "digits")
    for event in ("ControllerStarted", "Succeeded"):
        assert event in described

    best = digits.get("configmap", "digits-best")["data"]
    assert json.loads(best["architecture.json"])
    module = tmp_path / "model.py"
    module.write_text(best["model.py"])
    trained = subprocess.run([sys.executable, module], capture_output=True, text=True, timeout=300, check=False)
    assert trained.returncode == 0, trained.stderr
    assert "loss" in trained.stdout
