"""A receiver of OpenTelemetry traces: the real service of OTLP, over gRPC."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PATIENCE = 180.0  # seconds; only a test that fails waits so long


@dataclass(frozen=True)
class Received:
    """A span, and who has sent it."""

    span: Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def attributes(self) -> dict[str, Any]:
        return plain(self.span.attributes)

    @property
    def failed(self) -> bool:
        return self.span.status.code == Status.STATUS_CODE_ERROR

    @property
    def reports(self) -> list[dict[str, Any]]:
        """Attributes of its events, in order."""
        assert {event.name for event in self.span.events} <= {"report"}
        return [plain(event.attributes) for event in self.span.events]


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict."""
    return {pair.key: value_of(pair) for pair in attributes}


def value_of(pair: KeyValue) -> Any:
    return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")


class TraceReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.address = ""
        self._spans: list[Received] = []
        self._changed = threading.Condition()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        received = [
            Received(span, plain(of_resource.resource.attributes))
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        with self._changed:
            self._spans += received
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    @property
    def environment(self) -> dict[str, str]:
        """That has a process send its traces here, and at once."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address}", "OTEL_BSP_SCHEDULE_DELAY": "50"}

    @property
    def spans(self) -> list[Received]:
        """All so far."""
        with self._changed:
            return list(self._spans)

    def traces(self) -> dict[bytes, list[Received]]:
        """The spans of each trace, the earliest first."""
        found: dict[bytes, list[Received]] = defaultdict(list)
        for received in sorted(self.spans, key=lambda received: received.span.start_time_unix_nano):
            found[received.span.trace_id].append(received)
        return dict(found)

    def wait_for(self, condition: Callable[[list[Received]], object]) -> list[Received]:
        """Waits until the spans are such."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: condition(self._spans), PATIENCE)
            assert arrived, [received.name for received in self._spans]
            return list(self._spans)


@contextmanager
def receiving_traces() -> Iterator[TraceReceiver]:
    """A receiver that serves on loopback."""
    receiver = TraceReceiver()
    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


def children(span: Received, of: list[Received]) -> list[Received]:
    """The spans that have `span` for parent."""
    return [other for other in of if other.span.parent_span_id == span.span.span_id]
