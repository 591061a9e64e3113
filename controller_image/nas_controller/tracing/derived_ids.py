"""Ids of spans that are computed, not drawn: a controller that was started anew has those of the one before."""

import hashlib

from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanContext, TraceFlags

_TRACE_BYTES, _SPAN_BYTES = 16, 8


class DerivedIds(IdGenerator):
    """Ids of the spans of one search, as evenly spread as random ones.

    As a generator it gives the ids of the context that was announced last, in one thread.
    """

    def __init__(self, seed: str) -> None:
        """`seed`: random, and the same at each start of the controller. Searches differ in it."""
        self._seed = seed
        self._announced: SpanContext | None = None

    def trial(self, trial: int, training: int, *, sampled: bool = True) -> SpanContext:
        """The first span of a trace: of a trial, or of one of its final trainings."""
        digest = self._digest(f"trial {trial} {training}")
        return _context(digest[:_TRACE_BYTES], digest[_TRACE_BYTES:], sampled)

    def lease(self, trial: SpanContext, lease: str) -> SpanContext:
        """The span of a lease in the trace of its trial."""
        span = self._digest(f"lease {lease}")
        return _context(trial.trace_id.to_bytes(_TRACE_BYTES), span, trial.trace_flags.sampled)

    def announce(self, context: SpanContext) -> None:
        """The next span that starts is this one."""
        self._announced = context

    def generate_trace_id(self) -> int:
        """Of what was announced."""
        assert self._announced is not None
        return self._announced.trace_id

    def generate_span_id(self) -> int:
        """Of what was announced."""
        assert self._announced is not None
        return self._announced.span_id

    def is_trace_id_random(self) -> bool:
        """Whether samplers may take a trace id for a random number: a digest is as good."""
        return True

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._seed} {text}".encode()).digest()


def _context(trace: bytes, span: bytes, sampled: bool) -> SpanContext:
    flags = TraceFlags.RANDOM_TRACE_ID | (TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(
        int.from_bytes(trace), int.from_bytes(span[:_SPAN_BYTES]), is_remote=False, trace_flags=TraceFlags(flags)
    )
