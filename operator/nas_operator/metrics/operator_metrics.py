"""`OperatorMetrics`: counters and histograms of what the operator does. None of them names a search."""

import re
from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from nas_operator.actions import Action
from nas_operator.cache import WATCHED_KINDS

_OUTCOMES = ("done", "failed")
# One with many Jobs to make takes seconds, and it is cut short after some time.
_RECONCILE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


def _word(action: type[Action]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action.__name__).lower()


_WORDS = {action: _word(action) for action in get_args(Action)}


class OperatorMetrics:
    """What has happened since the operator started, every value of a label at zero from the start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._reconciles = Counter(
            "nas_operator_reconciles",
            "Reconciliations of searches. A failed one is tried again.",
            ("outcome",),
            registry=self.registry,
        )
        self._reconcile_seconds = Histogram(
            "nas_operator_reconcile_duration_seconds",
            "How long reconciliations took.",
            registry=self.registry,
            buckets=_RECONCILE_SECONDS,
        )
        self._actions = Counter(
            "nas_operator_actions", "Actions that were carried out, by kind.", ("action",), registry=self.registry
        )
        self._events = Counter(
            "nas_operator_watch_events", "What watches told of, by kind of object.", ("kind",), registry=self.registry
        )
        self._last_event = Gauge(
            "nas_operator_watch_last_event_timestamp_seconds",
            "When a watch last told anything, in Unix seconds. 0: it has not yet.",
            ("kind",),
            registry=self.registry,
        )
        self._resyncs = Counter(
            "nas_operator_resyncs",
            "Lists of all objects, to find what a watch has missed.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in _OUTCOMES:
            self._reconciles.labels(outcome)
            self._resyncs.labels(outcome)
        for word in _WORDS.values():
            self._actions.labels(word)
        for kind in WATCHED_KINDS:
            self._events.labels(kind)
            self._last_event.labels(kind)

    def reconciled(self, seconds: float, actions: Iterable[Action], *, failed: bool) -> None:
        """A reconciliation took `seconds` and carried out `actions`."""
        self._reconciles.labels("failed" if failed else "done").inc()
        self._reconcile_seconds.observe(seconds)
        for action in actions:
            self._actions.labels(_WORDS[type(action)]).inc()

    def told(self, kind: str) -> None:
        """A watch told of an object."""
        self._events.labels(kind).inc()
        self._last_event.labels(kind).set_to_current_time()

    def resynced(self, *, failed: bool) -> None:
        """Everything was listed, or could not be."""
        self._resyncs.labels("failed" if failed else "done").inc()
