"""The command line of a controller: `python -m nas_controller --help`."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nas_api.certificates import CertificatesError
from nas_api.logs import LOG_FORMAT_VARIABLE, LOG_FORMATS, configure_logging, default_format
from nas_api.manifest import ManifestError, load_manifest
from nas_api.spec import NASSearch
from nas_api.tracing import tracing

from nas_controller.engine import Engine
from nas_controller.job_runner_process import JobRunnerDiedError, JobRunnerProcess
from nas_controller.journal.journal import JournalError, JournalInUseError, StorageError
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.metrics.endpoint import MetricsEndpoint
from nas_controller.metrics.server import DEFAULT_PORT, CannotServeMetricsError
from nas_controller.record_log import log_records
from nas_controller.service.coordinator import Coordinator
from nas_controller.service.server import CannotListenError, start_server
from nas_controller.weight_store import WeightStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from nas_controller.tracing.trial_traces import TrialTraces

logger = logging.getLogger("nas_controller")

EX_CONFIG = 78
_METRICS_LISTEN = "KUBENAS_METRICS_LISTEN"  # environment variable
# Characters of the last line of a controller that cannot work. Kubernetes takes 2,048 bytes of a log.
_MAX_REASON = 1000
# Seconds between two tries to open a journal that is in use.
_LOCK_INTERVAL = 0.5
# Seconds that calls under way have to end when the controller stops.
_GRACE = 1.0
# Garbage is looked for after this many new objects, and among older ones after as many searches: less often than by
# default, since hundreds of calls under way make thousands of objects that live for milliseconds.
_COLLECT_AFTER = (7000, 20, 50)


def main() -> int:
    """Runs a controller until SIGTERM or SIGINT.

    Returns:
        The exit status; 78 means that the configuration is unusable: the last line on standard error says why.
    """
    parser = argparse.ArgumentParser(
        prog="python -m nas_controller",
        description="The controller of one search: policy, learner, journal and gRPC service.",
        epilog="example: python -m nas_controller --manifest search.yaml --state run/ --certificates run/tls/",
    )
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="the NASSearch")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="where the journal is kept")
    parser.add_argument(
        "--certificates", type=Path, required=True, metavar="DIR", help="directory of ca.crt, tls.crt and tls.key"
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: %(default)s (a free port)"
    )
    parser.add_argument("--address-file", type=Path, metavar="FILE", help="where to write HOST:PORT once it serves")
    parser.add_argument(
        "--metrics-listen",
        metavar="HOST:PORT",
        default=os.environ.get(_METRICS_LISTEN) or None,
        help=f"serve Prometheus metrics there over plain HTTP, such as :{DEFAULT_PORT} on all addresses "
        f"(default: {_METRICS_LISTEN}, or not at all)",
    )
    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=default_format(),
        help=f"of the lines on standard error (default: {LOG_FORMAT_VARIABLE}, or text)",
    )
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    options = parser.parse_args()
    configure_logging(options.log_format, options.log_level)
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        manifest = load_manifest(options.manifest)
        with (
            JobRunnerProcess(manifest.spec) as runner,
            tracing("kubenas-controller") as tracer_provider,
            _open_journal(options.state / "journal.sqlite", manifest.full_name) as journal,
        ):
            # Process 1 of a container inherits orphans, and nobody else would reap them.
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            weights = WeightStore(options.state / "weights")
            metrics = MetricsEndpoint(manifest, options.metrics_listen)
            journal.observe(log_records)
            metrics.observe(journal)
            traces = _observe(journal, manifest, tracer_provider) if tracer_provider is not None else None
            engine = Engine(manifest, journal, runner, weights=weights)
            asyncio.run(_serve(engine, runner, weights, metrics, traces, options))
    except (JobRunnerDiedError, StorageError) as error:
        return _tell(error, 1)
    except (
        ManifestError,
        JournalError,
        CertificatesError,
        CannotListenError,
        CannotServeMetricsError,
        ValueError,
    ) as error:
        return _tell(error, EX_CONFIG)
    except ExceptionGroup as group:  # the learner has died; what happens to the journal is a JournalError on closing it
        return _tell(group.exceptions[0], 1)
    return 0


def _tell(error: Exception, status: int) -> int:
    """Logs why the controller ends. In one line, too: the last line becomes the termination message of a container."""
    logger.error("%s", error)
    print(f"nas_controller: {'; '.join(str(error).splitlines())[:_MAX_REASON]}", file=sys.stderr)
    return status


def _open_journal(path: Path, search: str) -> SqliteJournal:
    """Opens the journal, when another controller has let go of it: that of a pod, say, that is being replaced."""
    waiting = False
    while True:
        try:
            return SqliteJournal(path, search)
        except JournalInUseError as error:
            if not waiting:
                logger.warning("%s; waiting for its end", str(error).partition(". ")[0])
            waiting = True
            time.sleep(_LOCK_INTERVAL)


def _observe(journal: SqliteJournal, search: NASSearch, provider: "TracerProvider") -> "TrialTraces":
    from nas_controller.tracing.trial_traces import TrialTraces  # imports OpenTelemetry

    traces = TrialTraces(provider, search, journal)
    journal.observe(traces)
    return traces


async def _serve(
    engine: Engine,
    runner: JobRunnerProcess,
    weights: WeightStore,
    metrics: MetricsEndpoint,
    traces: "TrialTraces | None",
    options: argparse.Namespace,
) -> None:
    coordinator = Coordinator(engine, runner)
    if traces is not None:
        coordinator.traceparent = traces.traceparent
    with metrics.serving(coordinator, options.state):
        server, address = await start_server(
            coordinator, weights, options.certificates, options.listen, metrics.interceptors()
        )
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        logger.info(
            "serving %s on %s, epoch %d: the search is %s",
            engine.manifest.full_name,
            address,
            engine.epoch,
            engine.verdict.state,
        )
        if options.address_file is not None:
            _write_atomically(options.address_file, address)
        work = asyncio.create_task(coordinator.run())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        await server.stop(_GRACE)
        if not work.done():
            runner.stop()
        work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            logger.info("stopped")


def _write_atomically(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)
