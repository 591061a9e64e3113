"""Serves metrics over plain HTTP, in threads of their own."""

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

DEFAULT_PORT = 9464
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]*):(?P<port>[0-9]{1,5})")


class CannotServeMetricsError(Exception):
    """The address cannot be served on; the message says why, and what an address looks like."""


@contextmanager
def serving_metrics(registry: CollectorRegistry, address: str) -> Iterator[str]:
    """Serves as long as the context lasts.

    Args:
        registry: what to serve.
        address: HOST:PORT, or :PORT for all addresses of the machine. Port 0: a free one.

    Yields:
        The URL.

    Raises:
        CannotServeMetricsError: `address` is none, or none of this machine, or taken.
    """
    matched = _ADDRESS.fullmatch(address)
    if matched is None or int(matched["port"]) > 65535:
        raise CannotServeMetricsError(
            f"cannot serve metrics on {address!r}: it must be HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}, or :PORT"
        )
    host = matched["host"].strip("[]") or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104 - asked for
    try:
        server, _ = start_http_server(int(matched["port"]), host, registry)
    except OSError as error:
        what_to_do = ": choose another port" if error.errno == errno.EADDRINUSE else ""
        raise CannotServeMetricsError(
            f"cannot serve metrics on {address}: {error.strerror or error}{what_to_do}"
        ) from error
    try:
        yield f"http://{matched['host'] or 'localhost'}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
