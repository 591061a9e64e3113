"""`TrialSpans`: what a worker has done with a trial, as spans of OpenTelemetry in the trace that its lease names."""

import time

from nas_api import tracing
from nas_api.leases import lease_id
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from nas_child.trial_run import Completed, End, Released, TrialRun
from nas_child.worker import WorkerSettings

# Of one span, as the SDK keeps by default.
_MOST_REPORTS = 128


class TrialSpans:
    """Makes the spans of each trial when it has ended: until then nobody could look at them either."""

    def __init__(self, provider: TracerProvider, search: NASSearch, settings: WorkerSettings) -> None:
        """`search` and `settings` of the worker."""
        self._tracer = provider.get_tracer("kubenas")
        self._common = {
            tracing.SEARCH: search.metadata.name,
            tracing.NAMESPACE: search.metadata.namespace,
            tracing.POOL: settings.pool,
            tracing.WORKER: settings.worker_id,
        }

    def __call__(self, run: TrialRun, end: End) -> None:
        """A trial has ended, and the controller has been told as far as it could be."""
        assignment = run.assignment
        # The clock that the trial's process has in common with this one does not tell the time of day.
        to_unix = time.time_ns() - time.monotonic_ns()

        def unix(monotonic: float) -> int:
            return to_unix + int(monotonic * 1e9)

        ended_at, told_at = run.began_at + run.seconds, time.monotonic()
        attributes: dict[str, str | int] = {
            **self._common,
            tracing.TRIAL: assignment.trial_id,
            tracing.LEASE: lease_id(assignment.lease),
            tracing.ATTEMPT: assignment.attempt,
            tracing.OUTCOME: _outcome(end),
        }
        if assignment.HasField("final_training"):
            attributes[tracing.FINAL_TRAINING] = assignment.final_training.training
        lease = TraceContextTextMapPropagator().extract({"traceparent": assignment.traceparent}, Context())
        span = self._tracer.start_span("train", lease, SpanKind.SERVER, attributes, start_time=unix(run.began_at))
        if (error := _error(end)) is not None:
            span.set_attribute(tracing.ERROR_TYPE, error[0])
            span.set_status(StatusCode.ERROR, ": ".join(error))
        within = set_span_in_context(span, Context())
        fit_at = run.first_step_at or run.began_at
        if run.first_step_at is not None:
            self._tracer.start_span("prepare", within, start_time=unix(run.began_at)).end(unix(fit_at))
        fit = self._tracer.start_span("fit", within, start_time=unix(fit_at))
        for point in run.series.whole(_MOST_REPORTS)[-_MOST_REPORTS:]:
            metrics: dict[str, float] = {tracing.METRIC + name: value for name, value in point.metrics.items()}
            fit.add_event("report", {tracing.STEP: point.step, **metrics}, unix(run.began_at + point.seconds))
        fit.end(unix(ended_at))
        self._tracer.start_span("deliver", within, start_time=unix(ended_at)).end(unix(told_at))
        span.end(unix(told_at))


def _outcome(end: End) -> str:
    if isinstance(end, Completed):
        return pb.Outcome.Name(end.outcome).lower()
    if isinstance(end, Released):
        return "lost" if end.lost else "released"
    return "abandoned"


def _error(end: End) -> tuple[str, str] | None:
    """Type and message of what went wrong, if anything did."""
    if isinstance(end, Completed) and end.outcome == pb.FAILED:
        return end.reason, end.message.partition("\n")[0]
    return ("lost", end.reason) if isinstance(end, Released) and end.lost else None
