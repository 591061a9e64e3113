"""`StateCollector`: how a search stands, read from it at each scrape, and so true from the first one on."""

import asyncio
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

from nas_api.spec.base import parse_duration
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nas_controller.jobs import Statistics
from nas_controller.journal.journal import TrialState
from nas_controller.leases import Lease, pool_of
from nas_controller.metrics.labels import SEARCH
from nas_controller.metrics.search_metrics import SearchMetrics
from nas_controller.service.coordinator import Coordinator, Worker

# Seconds that a scrape waits for the event loop. One that is busy for longer is no healthy controller.
_PATIENCE = 5.0
_STATES = ("RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED")
_LEASE_STATES = ("alive", "silent")
_WORKER_STATES = ("busy", "idle", "draining", "silent")


class StateCollector(Collector):
    """Gauges of a search. The event loop owns it, and so reads it, whichever thread scrapes."""

    def __init__(
        self, metrics: SearchMetrics, coordinator: Coordinator, loop: asyncio.AbstractEventLoop, state: Path
    ) -> None:
        """Reads nothing yet but the statistics of the last update before this start.

        Args:
            metrics: of the same search.
            coordinator: of the search.
            loop: that it lives in.
            state: directory of the journal.
        """
        self._metrics = metrics
        self._coordinator = coordinator
        self._loop = loop
        self._state = state
        search = coordinator.engine.manifest
        self._search = (search.metadata.namespace, search.metadata.name)
        before = coordinator.engine.journal.updates(after=coordinator.engine.version - 1, limit=1)
        self._before = Statistics(before[0].baseline, before[0].entropy, before[0].gradient_norm) if before else None

    def collect(self) -> Iterator[Metric]:
        """The metrics.

        Raises:
            TimeoutError: the event loop does not come to it.
        """
        yield from self._in_loop(lambda: [*self._of_search(), *self._of_policy(), *self._of_workers()])
        disk = shutil.disk_usage(self._state)
        yield self._gauge("nas_volume_available_bytes", "Room on the volume of the journal.", disk.free)
        yield self._gauge("nas_volume_size_bytes", "Size of the volume of the journal.", disk.total)

    def _in_loop(self, read: Callable[[], list[Metric]]) -> list[Metric]:
        found: Future[list[Metric]] = Future()

        def run() -> None:
            try:
                found.set_result(read())
            except Exception as error:
                found.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return found.result(_PATIENCE)

    def _of_search(self) -> Iterator[Metric]:
        engine = self._coordinator.engine
        progress, spec, stage = engine.progress, engine.manifest.spec, engine.final_stage
        yield self._gauges(
            "nas_search_info",
            "1. What is searched how.",
            ("algorithm", "space", "task", "metric"),
            {
                (
                    spec.controller.algorithm.type,
                    spec.search_space.type,
                    spec.trainer.task,
                    spec.reward.metric,
                ): 1
            },
        )
        yield self._gauges(
            "nas_search_state",
            "1 for the state that the search is in.",
            ("state",),
            {(state.lower(),): state == engine.verdict.state for state in _STATES},
        )
        leased = sum(not lease.training for lease in engine.leases.held())
        yield self._gauges(
            "nas_search_trials",
            "Trials of the whole search by state, replayed ones included.",
            ("state",),
            {
                ("pending",): 0 if stage.ending is not None else engine.pending,
                ("leased",): leased,
                ("succeeded",): progress.counts.get(TrialState.SUCCEEDED, 0),
                ("failed",): progress.counts.get(TrialState.FAILED, 0),
                ("stopped_early",): progress.counts.get(TrialState.STOPPED_EARLY, 0),
            },
        )
        yield self._gauge(
            "nas_search_trials_replayed", "Trials of the whole search that were replayed.", progress.replayed
        )
        yield self._gauge(
            "nas_search_consecutive_failures", "Trials that failed in a row.", progress.consecutive_failures
        )
        budget = spec.budget
        yield self._gauge("nas_search_budget_trials", "spec.budget.maxTrials. NaN: unlimited.", budget.max_trials)
        yield self._gauge(
            "nas_search_budget_seconds",
            "spec.budget.maxDuration. NaN: unlimited.",
            parse_duration(budget.max_duration).total_seconds() if budget.max_duration else None,
        )
        yield self._gauge(
            "nas_search_active_seconds", "What counts towards spec.budget.maxDuration.", progress.active_seconds
        )
        yield self._gauge(
            "nas_search_device_seconds",
            "Seconds for which the finished trials of the whole search held the device of their worker.",
            progress.device_seconds,
        )
        yield self._gauges(
            "nas_final_trainings",
            "Final trainings of the plan by state.",
            ("state",),
            {
                ("pending",): stage.pending,
                ("leased",): stage.total - stage.finished - stage.pending,
                ("finished",): stage.finished,
            },
        )
        best = stage.best_of_all
        reward = None if best is None else best.reward
        yield self._gauge("nas_final_training_reward_best", "Best reward of a final training. NaN: none.", reward)

    def _of_policy(self) -> Iterator[Metric]:
        engine = self._coordinator.engine
        last = engine.last_update.statistics if engine.last_update else self._before or Statistics()
        yield self._gauge(
            "nas_reward_best", "Best reward of a trial that succeeded. NaN: none has.", engine.progress.best_reward
        )
        yield self._gauge(
            "nas_reward_baseline", "Moving average of rewards. NaN: the algorithm has none.", last.baseline
        )
        yield self._gauge(
            "nas_policy_entropy_nats",
            "Mean entropy of the decisions of the last batch learnt. NaN: the algorithm has none.",
            last.entropy,
        )
        yield self._gauge(
            "nas_policy_gradient_norm",
            "Norm of the last gradient before clipping. NaN: the algorithm has none.",
            last.gradient_norm,
        )
        yield self._gauge("nas_policy_version", "Updates of the policy in the whole search.", engine.version)
        yield self._gauge(
            "nas_policy_waiting_batches", "Batches whose trials have finished and whose update is due.", engine.backlog
        )

    def _of_workers(self) -> Iterator[Metric]:
        engine = self._coordinator.engine
        yield self._gauges(
            "nas_leases",
            "Leases that are held. Silent ones have had no sign of life for half of their duration.",
            ("pool", "state"),
            self._counted(
                ((pool_of(lease.token), self._lease_state(lease)) for lease in engine.leases.held()), _LEASE_STATES
            ),
        )
        began = max((lease.granted_at for lease in engine.leases.held()), default=None)
        yield self._gauge(
            "nas_leases_youngest_seconds",
            "For how long the lease that began last has been held. NaN: none is.",
            None if began is None else time.monotonic() - began,
        )
        workers = (worker for worker in self._coordinator.workers.values() if not worker.retired)
        yield self._gauges(
            "nas_workers",
            "Workers that registered. Silent ones have not been heard of within the duration of a lease.",
            ("pool", "state"),
            self._counted(((worker.pool, self._worker_state(worker)) for worker in workers), _WORKER_STATES),
        )
        yield self._gauge(
            "nas_journal_stalled",
            "1: the journal cannot be written, and everything waits for it.",
            bool(engine.journal.problem()),
        )
        starts = CounterMetricFamily("nas_controller_starts", "Starts of the controller of this search.", labels=SEARCH)
        starts.add_metric(self._search, engine.epoch)
        yield starts

    def _lease_state(self, lease: Lease) -> str:
        left = lease.expires_at - time.monotonic()
        return "alive" if left > self._coordinator.engine.leases.duration / 2 else "silent"

    def _worker_state(self, worker: Worker) -> str:
        if not self._coordinator.alive(worker):
            return "silent"
        if worker.draining:
            return "draining"
        return "busy" if worker.trial else "idle"

    def _counted(self, found: Iterable[tuple[str, str]], states: tuple[str, ...]) -> Mapping[tuple[str, ...], float]:
        counted = Counter((self._metrics.pool(pool), state) for pool, state in found)
        return {(pool, state): counted[pool, state] for pool in self._metrics.pools for state in states}

    def _gauge(self, name: str, documentation: str, value: float | None) -> Metric:
        return self._gauges(name, documentation, (), {(): math.nan if value is None else value})

    def _gauges(
        self, name: str, documentation: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
    ) -> Metric:
        family = GaugeMetricFamily(name, documentation, labels=(*SEARCH, *labels))
        for chosen, value in values.items():
            family.add_metric((*self._search, *chosen), float(value))
        return family
