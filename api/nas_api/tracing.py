"""OpenTelemetry traces of controllers and workers: off, unless the standard environment variables say where to.

Nothing of OpenTelemetry is imported where they do not. What a span says of a trial is named here, for both.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# The extra `tracing` of this package.
_PACKAGES = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc"

SEARCH = "kubenas.search.name"
NAMESPACE = "kubenas.search.namespace"
TRIAL = "kubenas.trial.id"
FINAL_TRAINING = "kubenas.final_training.id"
LEASE = "kubenas.lease.id"
ATTEMPT = "kubenas.lease.attempt"
ENDING = "kubenas.lease.ending"
POOL = "kubenas.pool"
WORKER = "kubenas.worker.id"
OUTCOME = "kubenas.trial.outcome"
REWARD = "kubenas.trial.reward"
STEP = "kubenas.step"
METRIC = "kubenas.metric."  # and its name
ERROR_TYPE = "error.type"


def endpoint() -> str:
    """Where the environment wants traces to go; empty if it wants none."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    if os.environ.get("OTEL_TRACES_EXPORTER", "").strip() not in ("", "otlp"):
        return ""
    return next((value for name in _ENDPOINTS if (value := os.environ.get(name, "").strip())), "")


def problem() -> str:
    """Why there are no traces though the environment wants them, and what to do; empty when all is well."""
    wanted = endpoint()
    if not wanted:
        return ""
    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name, "").strip())), "grpc")
    if protocol != "grpc":
        return f"traces are not sent: their protocol is grpc, and the environment asks for {protocol}"
    if not _installed():
        return f"traces are not sent: OpenTelemetry is not installed; pip install {_PACKAGES}"
    return ""


def _installed() -> bool:
    try:
        return all(map(find_spec, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")))
    except ModuleNotFoundError:  # a package above them
        return False


@contextmanager
def tracing(service: str) -> "Iterator[TracerProvider | None]":
    """Traces as long as the context lasts, and then sends what has not been sent, for a few seconds at most.

    Threads are started, so fork before. Whatever is wrong is logged: no search ends for its traces.

    Args:
        service: `service.name`, where the environment has no other.
    """
    wanted, trouble = endpoint(), problem()
    if trouble:
        logger.warning("%s", trouble)
    if not wanted or trouble:
        yield None
        return
    where = urlsplit(wanted).netloc or wanted
    with ExitStack() as stack:
        provider = None
        try:
            from nas_api.trace_export import exporting

            provider = stack.enter_context(exporting(service, where))
            logger.info("traces go to %s", where)
        except Exception as error:  # of whatever else the environment says, or of versions that do not fit together
            logger.warning("traces are not sent: %s", error)
        yield provider
