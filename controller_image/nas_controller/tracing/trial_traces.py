"""`TrialTraces`: a trace for each trial, from its first lease to its result, made of what the journal says.

Spans are made when they end, with the times of the records. Their ids are computed, so a controller that was started
anew ends what the one before has begun, and sends workers to the same trace.
"""

import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nas_api import tracing
from nas_api.leases import lease_id
from nas_api.spec import NASSearch
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from nas_controller.journal.journal import (
    FactLearned,
    FinalTrainingFinished,
    FirstTrained,
    Journal,
    LeaseEnded,
    LeaseGranted,
    Record,
    TrialFinished,
    TrialReported,
    TrialState,
)
from nas_controller.leases import Lease, pool_of
from nas_controller.tracing.derived_ids import DerivedIds

_SEED = "traces"  # fact of the journal
_LOST = {
    "expired": "nothing was heard of the worker for as long as a lease lasts",
    "lost": "the worker, or its process of the trial, has gone",
}
# Of one span, as the SDK keeps by default.
_MOST_REPORTS = 128

_Attributes = dict[str, str | int | float]


class _Error(NamedTuple):
    type: str
    message: str


class _Key(NamedTuple):
    """What a trace is about: a trial of the search, or with a `training` one of the second stage."""

    trial: int
    training: int = 0


@dataclass(slots=True)
class _Open:
    """A trial, or a final training, that has been leased and has no result."""

    trial: int
    began_at: float
    ended: set[str] = field(default_factory=set)  # leases


@dataclass(slots=True)
class _Held:
    """A lease that has not ended."""

    granted: LeaseGranted
    context: SpanContext
    reports: deque[tuple[float, int, float]] = field(default_factory=lambda: deque(maxlen=_MOST_REPORTS))
    """When, the step and what it would have earned."""


class TrialTraces:
    """Observes a journal. Call it with each commit, from one thread."""

    def __init__(self, provider: TracerProvider, search: NASSearch, journal: Journal) -> None:
        """Takes up the traces of the trials that are open.

        Args:
            provider: of tracers. Its ids are computed from now on.
            search: whose trials they are.
            journal: that the records come from. It remembers what makes the ids of this search its own.
        """
        recovered = journal.recover()
        seed = recovered.facts.get(_SEED)
        if seed is None:
            seed = secrets.token_hex(16)
            journal.write(FactLearned(_SEED, seed))
        self._ids = DerivedIds(seed)
        provider.id_generator = self._ids  # type: ignore[assignment]  # the attribute has the type of the default
        self._sampler = provider.sampler
        self._tracer = provider.get_tracer("kubenas")
        self._search = {tracing.SEARCH: search.metadata.name, tracing.NAMESPACE: search.metadata.namespace}
        self._open: dict[_Key, _Open] = {}
        self._held: dict[str, _Held] = {}
        for span in journal.lease_spans():
            self._open.setdefault(_key(span.trial, span.training), _Open(span.trial, span.granted_at))
        for held in recovered.leases:
            self._grant(
                LeaseGranted(
                    held.lease, held.trial, held.worker, held.request_id, held.attempt, held.granted_at, held.training
                )
            )

    def traceparent(self, lease: Lease) -> str:
        """What the worker of a lease is told, in the form of W3C Trace Context. Thread-safe."""
        context = self._ids.lease(self._trial_context(_key(lease.trial, lease.training)), lease.token)
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, _within(context))
        return carrier["traceparent"]

    def __call__(self, records: Sequence[Record], _: float) -> None:
        """`records` have become durable together."""
        for record in records:
            match record:
                case LeaseGranted():
                    self._grant(record)
                case TrialReported() if record.lease in self._held:
                    now = time.time()
                    self._held[record.lease].reports.extend((now, point.step, point.reward) for point in record.points)
                case LeaseEnded():
                    ending = record.reason.lower()
                    error = _Error(ending, _LOST[ending]) if ending in _LOST else None
                    self._end_lease(record.lease, ending, record.at, {}, error)
                case FirstTrained() if record.promoted:  # one that is not ends with its trial
                    outcome: _Attributes = {tracing.OUTCOME: "promoted", tracing.REWARD: record.reward}
                    self._end_lease(record.lease, "finished", record.at, outcome, None)
                case TrialFinished():  # one that is replayed has not been leased
                    self._finish(_key(record.trial, 0), record)
                case FinalTrainingFinished():
                    self._finish(_key(0, record.training), record)

    def _grant(self, granted: LeaseGranted) -> None:
        key = _key(granted.trial, granted.training)
        trial = self._open.setdefault(key, _Open(granted.trial, granted.at))
        # One that is taken up again after it had expired has a span for that already.
        name = f"{granted.lease} {granted.at}" if granted.lease in trial.ended else granted.lease
        self._held[granted.lease] = _Held(granted, self._ids.lease(self._trial_context(key), name))

    def _end_lease(self, lease: str, ending: str, at: float, more: _Attributes, error: _Error | None) -> None:
        held = self._held.pop(lease, None)
        if held is None:  # it had expired before its result came
            return
        granted = held.granted
        key = _key(granted.trial, granted.training)
        self._open[key].ended.add(lease)
        attributes = self._attributes(key, granted.trial) | {
            tracing.LEASE: lease_id(lease),
            tracing.ATTEMPT: granted.attempt,
            tracing.POOL: pool_of(lease),
            tracing.WORKER: granted.worker,
            tracing.ENDING: ending,
        }
        parent = _within(self._trial_context(key))
        # It waits for the worker, as the client of a call does.
        span = self._start("lease", held.context, parent, SpanKind.CLIENT, granted.at, attributes | more, error)
        for reported_at, step, reward in held.reports:
            span.add_event("report", {tracing.STEP: step, tracing.REWARD: reward}, _nanoseconds(reported_at))
        span.end(_nanoseconds(at))

    def _finish(self, key: _Key, record: TrialFinished | FinalTrainingFinished) -> None:
        trial = self._open.get(key)
        if trial is None:
            return
        attributes: _Attributes = {tracing.OUTCOME: record.state.outcome}
        if record.reward is not None:
            attributes[tracing.REWARD] = record.reward
        failed = record.state is TrialState.FAILED
        error = _Error(record.reason, record.message.partition("\n")[0]) if failed else None
        if record.lease is not None:
            self._end_lease(record.lease, "finished", record.at, attributes, error)
        del self._open[key]
        name = "final training" if key.training else "trial"
        attributes |= self._attributes(key, trial.trial)
        context = self._trial_context(key)
        span = self._start(name, context, Context(), SpanKind.INTERNAL, trial.began_at, attributes, error)
        span.end(_nanoseconds(record.at))

    def _attributes(self, key: _Key, trial: int) -> _Attributes:
        training = {tracing.FINAL_TRAINING: key.training} if key.training else {}
        return {**self._search, tracing.TRIAL: trial, **training}

    def _trial_context(self, key: _Key) -> SpanContext:
        """Of the first span of a trace. Whether it is sampled must be known before it ends, and is by its id."""
        context = self._ids.trial(*key)
        sampled = self._sampler.should_sample(Context(), context.trace_id, "trial").decision.is_sampled()
        return context if sampled else self._ids.trial(*key, sampled=False)

    def _start(
        self,
        name: str,
        context: SpanContext,
        parent: Context,
        kind: SpanKind,
        began_at: float,
        attributes: Mapping[str, str | int | float],
        error: _Error | None,
    ) -> Span:
        self._ids.announce(context)
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=_nanoseconds(began_at))
        if error is not None:
            span.set_attribute(tracing.ERROR_TYPE, error.type)
            span.set_status(StatusCode.ERROR, f"{error.type}: {error.message}")
        return span


def _key(trial: int, training: int) -> _Key:
    # Trainings are numbered over all trials, and their results do not name the trial.
    return _Key(0, training) if training else _Key(trial)


def _within(context: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(context), Context())


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
