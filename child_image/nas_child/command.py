"""The command line of a worker: `python -m nas_child --help`."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from nas_api.certificates import CertificatesError
from nas_api.logs import LOG_FORMAT_VARIABLE, LOG_FORMATS, configure_logging, default_format
from nas_api.manifest import ManifestError, load_manifest
from nas_api.tracing import tracing

from nas_child import process_tree
from nas_child.controller_client import ControllerClient
from nas_child.data.cache import default_cache
from nas_child.fork_server_client import ForkServerClient, UnusableError
from nas_child.worker import Worker, WorkerSettings

logger = logging.getLogger("nas_child")

# Characters of the last line of a worker that cannot work. Kubernetes takes 2,048 bytes of a log.
_MAX_REASON = 1000

_EXAMPLES = """
examples:
  A worker on the CPU, for the controller of `nas run` on this machine:
    python -m nas_child --manifest runs/digits/search.yaml --controller 127.0.0.1:50051 \\
        --certificates runs/digits/certificates/worker --pool default --device cpu --logs runs/digits/logs

  A worker on the second GPU:
    python -m nas_child --manifest search.yaml --controller nas-controller:50051 \\
        --certificates /etc/kubenas/certificates --pool gpus --device cuda:1

exit status:
  0   retired by the controller, or asked to end by SIGTERM or SIGINT
  78  the configuration cannot work: manifest, data, task, device or certificates.
      The last line of standard error says why: "nas_child: REASON"
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas_child",
        description="A worker: trains the architectures that a controller proposes, one after the other, "
        "each in a process of its own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    required = parser.add_argument_group("required")
    required.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="the NASSearch, YAML")
    required.add_argument("--controller", required=True, metavar="HOST:PORT", help="address of the controller")
    required.add_argument(
        "--certificates", type=Path, required=True, metavar="DIR", help="holds ca.crt, tls.crt and tls.key of the pool"
    )
    required.add_argument(
        "--pool", required=True, metavar="NAME", help="the pool of the manifest that this worker is in"
    )
    parser.add_argument(
        "--worker-id",
        default=f"{socket.gethostname()}-{os.getpid()}",
        metavar="ID",
        help="name of this worker, unique in the search (default: host name and process id)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda:N, or auto: the first GPU if there is one (default: %(default)s)"
    )
    parser.add_argument(
        "--logs",
        type=Path,
        metavar="DIR",
        help="keep what trial 12 writes in DIR/trials/000012.log, its first and last 512 KiB (default: standard error)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="DIR",
        help="where copies of remote data are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=_positive, default=1, metavar="N", help="of PyTorch, in a trial (default: %(default)s)"
    )
    parser.add_argument(
        "--grace-seconds",
        type=float,
        default=20.0,
        metavar="S",
        help="how long giving back the architecture may take after SIGTERM (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=default_format(),
        help=f"of the lines on standard error (default: {LOG_FORMAT_VARIABLE}, or text)",
    )
    parser.add_argument(
        "--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO", help="(default: %(default)s)"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


async def _work(arguments: argparse.Namespace) -> None:
    search = load_manifest(arguments.manifest)
    pools = [pool.name for pool in search.spec.pools]
    if arguments.pool not in pools:
        raise UnusableError(f"{arguments.manifest} has no pool {arguments.pool!r}; its pools are {', '.join(pools)}")
    server = ForkServerClient(
        [
            *("--manifest", str(arguments.manifest)),
            *("--device", arguments.device),
            *("--cache", str(arguments.cache)),
            *("--threads", str(arguments.threads)),
        ]
    )
    settings = WorkerSettings(arguments.worker_id, arguments.pool, arguments.grace_seconds, arguments.logs)
    worker = Worker(settings, search, server, ControllerClient(arguments.controller, arguments.certificates))

    def on_signal(number: signal.Signals) -> None:
        if stops:
            logger.warning("%s again: ending at once; the lease will expire", number.name)
            os._exit(128 + number)  # the fork server notices, and ends with everything below it
        stops.append(number)
        logger.info("%s: giving back the architecture in training, if any, and ending", number.name)
        worker.stop()

    stops: list[signal.Signals] = []
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    loop.add_signal_handler(signal.SIGCHLD, lambda: process_tree.reap_orphans(server.pid))
    with tracing("kubenas-worker") as tracer_provider:
        if tracer_provider is not None:
            from nas_child.trial_spans import TrialSpans

            worker.ended = TrialSpans(tracer_provider, search, settings)
        await worker.run()


def main() -> int:
    """Runs a worker to its end. Returns the exit status."""
    arguments = _parser().parse_args()
    configure_logging(arguments.log_format, arguments.log_level)
    if sys.platform != "linux":
        logger.error("a worker needs Linux: it finds and ends the processes of trials in ways that only Linux has")
        return os.EX_CONFIG
    try:
        asyncio.run(_work(arguments))
    except (ManifestError, CertificatesError, UnusableError) as error:
        logger.error("%s", error)  # noqa: TRY400 - the message is for a person
        # In any log format: it becomes the termination message of a container.
        print(f"nas_child: {'; '.join(str(error).splitlines())[:_MAX_REASON]}", file=sys.stderr)
        return os.EX_CONFIG
    return 0
