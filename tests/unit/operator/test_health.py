"""The health endpoint, over HTTP."""

import aiohttp
import pytest
from nas_operator.health import start_health_server
from prometheus_client import CollectorRegistry


async def test_it_says_what_is_wrong() -> None:
    problems: list[str | None] = [None, "the API server has not told yet what there is"]
    server, port = await start_health_server(0, lambda: problems[0], lambda: problems[1], CollectorRegistry())
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def ask(path: str) -> tuple[int, str]:
                async with session.get(path) as answer:
                    return answer.status, await answer.text()

            assert await ask("/healthz") == (200, "ok\n")
            assert await ask("/readyz") == (503, "the API server has not told yet what there is\n")
            problems[:] = ["the queue has been waiting for 700 s", None]
            assert await ask("/healthz") == (503, "the queue has been waiting for 700 s\n")
            assert await ask("/readyz") == (200, "ok\n")
            assert (await ask("/"))[0] == 404
    finally:
        await server.cleanup()


async def test_a_port_that_is_taken_is_an_error() -> None:
    server, port = await start_health_server(0, lambda: None, lambda: None, CollectorRegistry())
    try:
        with pytest.raises(OSError, match="in use"):
            await start_health_server(port, lambda: None, lambda: None, CollectorRegistry())
    finally:
        await server.cleanup()
