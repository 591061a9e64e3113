"""docs/metrics.md has a line for every metric, in its own words, and no other."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from nas_controller.metrics.search_metrics import SearchMetrics
from nas_controller.metrics.state import StateCollector
from nas_controller.service.coordinator import Coordinator
from nas_operator.cache import Cache
from nas_operator.metrics.cluster import ClusterCollector
from nas_operator.metrics.operator_metrics import OperatorMetrics
from nas_operator.names import labels
from nas_operator.work_queue import WorkQueue
from prometheus_client.metrics_core import Metric

from tests.unit.controller.driven_engine import DrivenEngine, journal, manifest_of

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def controller_metrics(state: Path) -> list[Metric]:
    """All of a controller's own."""
    search = manifest_of({})
    metrics = SearchMetrics(search)

    async def collect() -> list[Metric]:
        engine = DrivenEngine(search, journal())
        collector = StateCollector(metrics, Coordinator(engine, engine.runner), asyncio.get_running_loop(), state)
        return await asyncio.to_thread(lambda: [*metrics.registry.collect(), *collector.collect()])

    return asyncio.run(collect())


def operator_metrics() -> list[Metric]:
    """All of an operator's own, with a search of one pool."""
    metadata = {"namespace": "vision", "resourceVersion": "1", "labels": labels("digits", "pool")}
    cache = Cache()
    cache.put("NASSearch", {"kind": "NASSearch", "metadata": metadata | {"name": "digits", "uid": "1"}})
    pool = {"kind": "NASPool", "metadata": metadata | {"name": "digits-gpus", "uid": "2"}, "spec": {"pool": "gpus"}}
    cache.put("NASPool", pool)
    own = OperatorMetrics().registry.collect()
    return [m for m in (*own, *ClusterCollector(cache, WorkQueue()).collect()) if m.name.startswith("nas_")]


def rows(metrics: Iterable[Metric], given: tuple[str, ...]) -> list[str]:
    """What the page should say. `given`: the labels that all of them have."""
    return [
        f"| `{_name(metric)}` | {metric.type} | {_labels(metric, given)} | {metric.documentation} |"
        for metric in metrics
    ]


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(metric: Metric, given: tuple[str, ...]) -> str:
    labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels)
    return ", ".join(f"`{label}`" for label in labels if label not in (*given, "le"))


def section(title: str) -> list[str]:
    """The rows of the tables below a heading of the page."""
    text = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `nas_.*$", text, re.MULTILINE)


def test_the_page_lists_the_metrics_of_a_controller(tmp_path: Path) -> None:
    expected = rows(controller_metrics(tmp_path), given=("namespace", "search"))
    assert sorted(section("Of a controller")) == sorted(expected)


def test_the_page_lists_the_metrics_of_the_operator() -> None:
    assert sorted(section("Of the operator")) == sorted(rows(operator_metrics(), given=()))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: apt-get install prometheus")
def test_prometheus_can_read_the_configurations_and_the_questions(tmp_path: Path) -> None:
    text = PAGE.read_text()
    configurations = re.findall(r"```yaml\n(# prometheus\.yml\n.*?)```", text, re.DOTALL)
    questions = re.findall(r"^\| [^|]*\? \| `(.*?)`", text, re.MULTILINE)
    assert len(configurations) == 2
    assert len(questions) > 5
    rules = [{"record": f"a:b:c{i}", "expr": q.replace("\\|", "|")} for i, q in enumerate(questions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))
    checked = [["rules", tmp_path / "rules.yml"]]
    for i, configuration in enumerate(configurations):
        # Debian's Prometheus is built without Kubernetes.
        configuration = configuration.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: []")
        (tmp_path / f"{i}.yml").write_text(configuration)
        checked.append(["config", tmp_path / f"{i}.yml"])
    for arguments in checked:
        done = subprocess.run(["promtool", "check", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
