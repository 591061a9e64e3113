"""`ClusterCollector`: searches, pools, queue and watches, as they are when somebody scrapes.

So what is deleted leaves nothing behind.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from nas_api.spec import Lease
from nas_api.spec.base import parse_duration
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nas_operator.cache import WATCHED_KINDS, Cache, Key
from nas_operator.observed import Object
from nas_operator.planning.objects import condition_of, generation_of, parse_time, status_of
from nas_operator.work_queue import WorkQueue

CONDITIONS = ("Ready", "ControllerAvailable", "PoolsReady", "Progressing", "Suspended", "Succeeded", "Failed")


class ClusterCollector(Collector):
    """Gauges. To be collected in the event loop, which owns cache and queue."""

    def __init__(self, cache: Cache, queue: WorkQueue[Key]) -> None:
        """Reads nothing yet."""
        self._cache = cache
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        yield from self._of_queue()
        lag = GaugeMetricFamily(
            "nas_operator_watch_lag_seconds",
            "For how long a watch has not told of what a list has shown. 0: it has told of everything.",
            labels=("kind",),
        )
        lags = self._cache.watch_lag()
        for kind in WATCHED_KINDS:
            lag.add_metric((kind,), lags.get(kind, 0.0))
        yield lag
        yield from self._of_searches()

    def _of_queue(self) -> Iterator[Metric]:
        now = time.monotonic()
        waiting = self._queue.waiting(now)
        yield GaugeMetricFamily(
            "nas_operator_queue_depth", "Searches that are due, and wait for a worker.", len(waiting)
        )
        yield GaugeMetricFamily(
            "nas_operator_queue_longest_wait_seconds",
            "For how long the first of these searches has been due.",
            max(waiting, default=0.0),
        )
        working = self._queue.working_since().values()
        yield GaugeMetricFamily("nas_operator_queue_working", "Searches that are being worked on.", len(working))
        yield GaugeMetricFamily(
            "nas_operator_queue_longest_work_seconds",
            "For how long the first of these searches has been worked on.",
            now - min(working, default=now),
        )

    def _of_searches(self) -> Iterator[Metric]:
        conditions = GaugeMetricFamily(
            "nas_search_condition",
            "1 if a condition of the status is True, else 0.",
            labels=("namespace", "search", "condition"),
        )
        pools = GaugeMetricFamily(
            "nas_pool_workers",
            "Workers of a pool: wanted now, existing as Jobs, and heard of lately by the controller.",
            labels=("namespace", "search", "pool", "state"),
        )
        unavailable = GaugeMetricFamily(
            "nas_search_controller_unavailable_seconds",
            "For how long the controller of a search that has not ended has not been available. 0: it is.",
            labels=("namespace", "search"),
        )
        leases = GaugeMetricFamily(
            "nas_search_lease_duration_seconds", "spec.controller.lease.duration.", labels=("namespace", "search")
        )
        keys = self._cache.keys()
        for key in keys:
            objects = self._cache.objects(key)
            search = objects["NASSearch"][key.name]
            for condition in CONDITIONS:
                conditions.add_metric((*key, condition), float(condition_of(search, condition) is not None))
            unavailable.add_metric(key, _unavailable_seconds(search))
            leases.add_metric(key, _lease_seconds(search))
            works = _is_to_have_workers(search)
            for pool in objects.get("NASPool", {}).values():
                spec, status = pool["spec"], pool.get("status") or {}
                for state, workers in (
                    ("wanted", spec.get("replicas", 1) if works else 0),
                    ("existing", status.get("replicas", 0)),
                    ("alive", status.get("readyReplicas", 0)),
                ):
                    pools.add_metric((*key, spec["pool"], state), workers)
        yield GaugeMetricFamily("nas_operator_searches", "Searches that there are.", len(keys))
        yield from (conditions, unavailable, leases, pools)


def _is_to_have_workers(search: Object) -> bool:
    """Whether its pools are to have their replicas: those of one that has ended, or is suspended, are to be empty."""
    ended = any(condition_of(search, end) is not None for end in ("Succeeded", "Failed"))
    return not ended and not (search.get("spec") or {}).get("suspend", False)


def _unavailable_seconds(search: Object) -> float:
    found = {condition["type"]: condition for condition in status_of(search).get("conditions") or ()}
    available = found.get("ControllerAvailable", {"status": "True"})
    # One that was edited since it ended may go on, and its controller must say so.
    ended = any(
        condition_of(search, end) is not None and found[end].get("observedGeneration") == generation_of(search)
        for end in ("Succeeded", "Failed")
    )
    since = parse_time(available.get("lastTransitionTime"))
    if available["status"] == "True" or ended or since is None:
        return 0.0
    return max(0.0, (datetime.now(UTC) - since).total_seconds())


def _lease_seconds(search: Object) -> float:
    controller = (search.get("spec") or {}).get("controller") or {}
    try:
        duration = parse_duration((controller.get("lease") or {})["duration"])
    except (KeyError, ValueError):  # of a manifest that cannot be used, the latter
        duration = parse_duration(Lease().duration)
    return duration.total_seconds()
