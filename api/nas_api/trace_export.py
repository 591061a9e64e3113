"""Sends spans by OTLP over gRPC, in batches from a bounded queue. Imports OpenTelemetry: see `nas_api.tracing`."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

# Seconds that what is left may take to be sent when a process ends. The exporter itself would try for half a minute.
_PATIENCE = 3.0


class _LastWords(logging.Handler):
    """Keeps what OpenTelemetry has said last: of a collector that is away it says the same again and again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class _TellingExporter(SpanExporter):
    """Sends spans, and tells once when that fails, and once when it works again."""

    def __init__(self, exporter: OTLPSpanExporter, where: str) -> None:
        self._exporter = exporter
        self._where = where
        self._failing = False
        self._words = _LastWords()
        library = logging.getLogger("opentelemetry")
        library.addHandler(self._words)
        library.propagate = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            logger.warning(
                "traces cannot be sent to %s, and are dropped until they can: %s", self._where, self._words.text
            )
        elif self._failing and not failed:
            logger.info("traces are sent to %s again", self._where)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@contextmanager
def exporting(service: str, where: str) -> Iterator[TracerProvider]:
    """A provider of tracers that follows the environment, see https://opentelemetry.io/docs/specs/otel/configuration/.

    Args:
        service: `service.name`, where the environment has no other.
        where: spans go, in messages.

    Raises:
        Exception: the environment has a value that OpenTelemetry cannot use.
    """
    ours = Resource({SERVICE_NAME: service, SERVICE_NAMESPACE: "kubenas"})
    resource = Resource.create(ours.merge(OTELResourceDetector().detect()).attributes)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(_TellingExporter(exporter, where)))
    try:
        yield provider
    finally:
        closing = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_PATIENCE)
        if closing.is_alive():
            logger.warning("the last traces were not sent in %.0f s, and are lost", _PATIENCE)
            exporter.shutdown()  # ends what it does
            closing.join(_PATIENCE)
