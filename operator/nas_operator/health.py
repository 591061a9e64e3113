"""The health endpoint: `/healthz` says whether the operator should be started anew, `/readyz` whether it works.

Its `/metrics` are for a Prometheus.
"""

import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

# Says what is wrong. None: nothing.
Check = Callable[[], str | None]


async def start_health_server(
    port: int, live: Check, ready: Check, metrics: CollectorRegistry
) -> tuple[web.AppRunner, int]:
    """Serves on all addresses, in this event loop: an answer shows that the loop runs.

    Args:
        port: to listen on. 0: a free one.
        live: for `/healthz`.
        ready: for `/readyz`.
        metrics: for `/metrics`. They are collected in this event loop, too.

    Returns:
        the server, whose `cleanup` ends it, and its port.

    Raises:
        OSError: the port cannot be had.
    """
    listener = _listen(port)
    application = web.Application()
    application.add_routes(
        [
            web.get("/healthz", _handler(live)),
            web.get("/readyz", _handler(ready)),
            web.get("/metrics", make_aiohttp_handler(metrics)),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner, listener.getsockname()[1]


def _listen(port: int) -> socket.socket:
    """One socket for IPv4 and IPv6, where there is any: two would get two free ports."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _handler(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        problem = check()
        return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=f"{problem}\n")

    return handle
