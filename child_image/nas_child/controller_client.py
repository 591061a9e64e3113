"""`ControllerClient`: the controller as a worker sees it. It may be away for minutes; the call then waits."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from nas_api.certificates import CertificatesError, channel_credentials
from nas_api.rpc import trials_pb2_grpc

logger = logging.getLogger(__name__)

Reply = TypeVar("Reply")

# What a call meets while its controller restarts, is overloaded, or is out of reach.
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_FIRST_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_NUMBER = re.compile(r"\d+")
# Bytes of one message, either way. A long series of measurements is a few hundred thousand.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class CallRefusedError(Exception):
    """The controller answered, and repeating the call would not help."""

    def __init__(self, method: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"the controller refuses {method}: {details or 'no details'} ({code.name})")
        self.code = code


class ControllerClient:
    """Calls of `TrialService` over mutual TLS, repeated until they are answered."""

    def __init__(self, address: str, certificates: Path) -> None:
        """Connects at the first call.

        Args:
            address: `host:port` of the controller.
            certificates: directory of `ca.crt`, `tls.crt` and `tls.key`, read again when the connection is made anew.

        Raises:
            CertificatesError: they cannot be used.
        """
        self._address = address
        self._certificates = certificates
        self._failures = 0  # since the last answer
        self._last_answer = time.monotonic()
        self._told: set[str] = set()  # troubles since the last answer
        self._open(channel_credentials(certificates))
        self.reconnected = False
        """Whether the connection was lost since this was last set to False: the controller may be a new one."""

    def _open(self, credentials: grpc.ChannelCredentials) -> None:
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            # How long a handshake may take, with a controller to which all its workers come back at once.
            ("grpc.min_reconnect_backoff_ms", 5000),
            ("grpc.max_reconnect_backoff_ms", int(_MAX_BACKOFF * 1000)),
            # Retries are made here, where they can outlast a restart.
            ("grpc.enable_retries", 0),
            # The node of a controller that is gone does not say so.
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            # Proxies that a cluster sets for everybody lead out of it.
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = grpc.aio.secure_channel(self._address, credentials, options=options)
        self._stub = trials_pb2_grpc.TrialServiceStub(self._channel)

    async def call(self, method: str, request: Any, reply: type[Reply], deadline: float, retry: bool = True) -> Reply:
        """Calls a method of `TrialService` until it is answered.

        Args:
            method: its name.
            request: its message. The same one is sent again, so its request id stays the same.
            reply: type of the answer.
            deadline: seconds that one attempt may take.
            retry: whether to repeat the call when the controller cannot be reached.

        Raises:
            CallRefusedError: the controller refuses the call, or cannot be reached and `retry` is false.
        """
        while True:
            call: Callable[..., Awaitable[Any]] = getattr(self._stub, method)
            try:
                answer = await call(request, timeout=deadline)
            except grpc.aio.AioRpcError as error:
                if not retry or not _is_transient(error):
                    raise CallRefusedError(method, error.code(), error.details() or "") from error
                await self._back_off(error)
            else:
                now = time.monotonic()
                if self._failures:
                    logger.info("the controller at %s answers after %.0f s", self._address, now - self._last_answer)
                self._failures = 0
                self._told.clear()
                self._last_answer = now
                assert isinstance(answer, reply)
                return answer

    async def _back_off(self, error: grpc.aio.AioRpcError) -> None:
        self._failures += 1
        self.reconnected = True
        self._tell_once(f"{error.details()} ({error.code().name})")
        # Full jitter: the workers of a restarted controller come back spread out.
        delay = random.uniform(0, min(_MAX_BACKOFF, _FIRST_BACKOFF * 2 ** min(self._failures, 16)))  # noqa: S311
        logger.debug("trying again in %.1f s: %s", delay, error.details())
        await asyncio.sleep(delay)
        if self._failures % 3 == 0:
            await self._renew()

    def _tell_once(self, trouble: str) -> None:
        """Logs a kind of trouble once, until there is an answer again."""
        kind = _NUMBER.sub("", trouble)  # without addresses and times
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("the controller at %s cannot be reached; trying until it can: %s", self._address, trouble)

    async def _renew(self) -> None:
        """Makes the channel anew: its certificates may have been rotated, or its address be another machine's now."""
        try:
            credentials = channel_credentials(self._certificates)
        except CertificatesError as error:
            self._tell_once(f"{error}; the old certificates stay in use")
            return
        old = self._channel
        self._open(credentials)
        await old.close()

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()


def _is_transient(error: grpc.aio.AioRpcError) -> bool:
    # One code for a busy server and for a message that will never pass.
    too_large = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in (error.details() or "")
    return error.code() in _TRANSIENT and not too_large
