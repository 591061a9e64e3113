"""The operator's metrics: of all that it does, and of the searches that there are now."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from nas_operator.actions import Annotate, Emit
from nas_operator.cache import Cache, Key
from nas_operator.health import start_health_server
from nas_operator.metrics.cluster import CONDITIONS, ClusterCollector
from nas_operator.metrics.operator_metrics import OperatorMetrics
from nas_operator.planning.objects import format_time
from nas_operator.work_queue import WorkQueue
from prometheus_client import CollectorRegistry, generate_latest

from tests.integration.prometheus_text import check_with_promtool, samples, series, value


class Cluster:
    """What an operator knows of a cluster, and what it says of it."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue()
        self._version = 0

    def put(self, kind: str, name: str, generation: int = 1, **fields: Any) -> dict[str, Any]:
        self._version += 1
        versions = {"resourceVersion": str(self._version), "generation": generation}
        metadata = {"namespace": "vision", "name": name, "uid": name} | versions
        labels = {"kubenas.dev/search": "digits", "app.kubernetes.io/managed-by": "kubenas-operator"}
        told = {"kind": kind, "metadata": metadata | {"labels": labels}, "spec": {}} | fields
        self.cache.put(kind, told)
        return told

    def text(self) -> str:
        registry = CollectorRegistry()
        registry.register(ClusterCollector(self.cache, self.queue))
        return generate_latest(registry).decode()


def test_a_search_has_its_conditions_and_its_pools_and_leaves_nothing_behind() -> None:
    cluster = Cluster()
    empty = cluster.text()
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Failed", "status": "False"}]
    search = cluster.put("NASSearch", "digits", status={"conditions": conditions})
    pool = cluster.put(
        "NASPool",
        "digits-gpus",
        spec={"pool": "gpus", "replicas": 8},
        status={"replicas": 5, "readyReplicas": 3},
    )

    text = cluster.text()
    check_with_promtool(text)
    digits = {"namespace": "vision", "search": "digits"}
    assert value(text, "nas_search_condition", condition="Ready", **digits) == 1
    assert value(text, "nas_search_condition", condition="Failed", **digits) == 0
    assert {s.labels["condition"] for s in samples(text) if s.name == "nas_search_condition"} == set(CONDITIONS)
    for state, workers in {"wanted": 8, "existing": 5, "alive": 3}.items():
        assert value(text, "nas_pool_workers", pool="gpus", state=state, **digits) == workers
    assert value(text, "nas_operator_searches") == 1

    cluster.cache.remove("NASSearch", search)
    cluster.cache.remove("NASPool", pool)
    assert series(cluster.text()) == series(empty)


@pytest.mark.parametrize(
    ("spec", "condition", "workers"),
    [
        ({}, {"type": "Succeeded", "status": "False"}, 8),
        ({"suspend": False}, {"type": "Failed", "status": "False"}, 8),
        ({"suspend": True}, {"type": "Succeeded", "status": "False"}, 0),
        ({}, {"type": "Succeeded", "status": "True"}, 0),
        ({}, {"type": "Failed", "status": "True"}, 0),
    ],
)
def test_a_search_that_has_ended_or_is_suspended_lacks_no_workers(
    spec: dict[str, Any], condition: dict[str, Any], workers: int
) -> None:
    cluster = Cluster()
    cluster.put("NASSearch", "digits", spec=spec, status={"conditions": [condition]})
    cluster.put("NASPool", "digits-gpus", spec={"pool": "gpus", "replicas": 8}, status={})
    assert value(cluster.text(), "nas_pool_workers", pool="gpus", state="wanted") == workers


def unavailable(cluster: Cluster, *conditions: dict[str, Any], generation: int = 1) -> float:
    """Seconds for which the controller of a search has not been available, by its conditions."""
    cluster.put("NASSearch", "digits", generation, status={"conditions": list(conditions)})
    return value(cluster.text(), "nas_search_controller_unavailable_seconds", namespace="vision", search="digits")


def test_how_long_a_controller_has_not_been_available_counts_until_the_search_has_ended() -> None:
    cluster = Cluster()
    since = format_time(datetime.now(UTC) - timedelta(hours=1))
    gone = {"type": "ControllerAvailable", "status": "False", "lastTransitionTime": since}
    ended = {"type": "Succeeded", "status": "True", "observedGeneration": 1}

    assert unavailable(cluster) == 0, "nothing is known yet"
    assert 3600 <= unavailable(cluster, gone) < 3700
    assert unavailable(cluster, gone | {"status": "True"}) == 0
    assert unavailable(cluster, gone, ended) == 0
    assert unavailable(cluster, gone, ended, generation=2) >= 3600, "it was edited, and shall go on"
    check_with_promtool(cluster.text())


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({"controller": {"lease": {"duration": "5m"}}}, 300),
        ({}, 60),
        ({"controller": {"lease": {"duration": "?"}}}, 60),
    ],
)
def test_the_duration_of_leases_is_that_of_the_manifest(spec: dict[str, Any], seconds: float) -> None:
    cluster = Cluster()
    cluster.put("NASSearch", "digits", spec=spec)
    assert value(cluster.text(), "nas_search_lease_duration_seconds", search="digits") == seconds


def test_the_queue_tells_who_waits_and_for_how_long() -> None:
    cluster = Cluster()
    now = time.monotonic()
    for name in ("a", "b", "later"):
        cluster.queue.add(Key("vision", name), now - 10, after=3600 if name == "later" else 0)
    cluster.queue.take(now)
    text = cluster.text()
    assert value(text, "nas_operator_queue_depth") == 1
    assert value(text, "nas_operator_queue_longest_wait_seconds") >= 10
    assert value(text, "nas_operator_queue_working") == 1


def test_a_watch_that_has_not_told_of_what_a_list_has_shown_lags() -> None:
    at = [100.0]
    cluster = Cluster()
    cluster.cache = Cache(clock=lambda: at[0])
    told = cluster.put("NASSearch", "digits")
    cluster.cache.remove("NASSearch", told)
    listed = told | {"metadata": told["metadata"] | {"uid": "new", "resourceVersion": "9"}}
    cluster.cache.replace("NASSearch", None, [listed], 9)
    at[0] += 42
    assert value(cluster.text(), "nas_operator_watch_lag_seconds", kind="NASSearch") == 42
    assert value(cluster.text(), "nas_operator_watch_lag_seconds", kind="Job") == 0
    cluster.cache.watched("NASSearch", listed, deleted=False)
    assert value(cluster.text(), "nas_operator_watch_lag_seconds", kind="NASSearch") == 0


async def test_what_the_operator_does_is_counted_and_served_beside_its_health() -> None:
    metrics = OperatorMetrics()
    server, port = await start_health_server(0, lambda: None, lambda: None, metrics.registry)

    async def scraped() -> str:
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
            session.get("/metrics") as answer,
        ):
            return await answer.text()

    try:
        before = await scraped()
        await asyncio.to_thread(check_with_promtool, before)
        assert value(before, "nas_operator_actions_total", action="issue_certificate") == 0
        metrics.reconciled(
            0.2, [Annotate("Job", "j", {}), Emit("Normal", "R", "m"), Emit("Normal", "R", "m")], failed=False
        )
        metrics.reconciled(3.0, [], failed=True)
        metrics.told("Job")
        metrics.resynced(failed=True)
        after = await scraped()
    finally:
        await server.cleanup()
    assert value(after, "nas_operator_actions_total", action="emit") == 2
    assert value(after, "nas_operator_actions_total", action="annotate") == 1
    assert value(after, "nas_operator_reconciles_total", outcome="failed") == 1
    assert value(after, "nas_operator_reconcile_duration_seconds_sum") == 3.2
    assert value(after, "nas_operator_watch_events_total", kind="Job") == 1
    assert value(after, "nas_operator_watch_last_event_timestamp_seconds", kind="Job") > 0
    assert value(after, "nas_operator_resyncs_total", outcome="failed") == 1
    assert series(after) == series(before)
