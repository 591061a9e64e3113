"""`ControllerClient`: asks the controllers of searches by gRPC, with the administrator's certificate of each search."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc
from nas_api.certificates import KeyPair
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc.trials_pb2_grpc import SearchServiceStub

from nas_operator.cache import Key

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds that an answer may take. A controller answers in milliseconds.
_DEADLINE = 5.0
# Words of gRPC's messages.
_OF_CERTIFICATES = ("handshake", "certificate", "verification")
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    # A pod that vanishes with its node says no goodbye.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 5000),
)


class ControllerError(Exception):
    """A controller did not do what it was asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class ControllerAddress:
    """Where the controller of a search is, and how to speak to it.

    Attributes:
        target: `IP:PORT`.
        host: the DNS name that its certificate is for.
        certificate: the administrator's.
    """

    target: str
    host: str
    certificate: KeyPair


@dataclass(frozen=True, slots=True)
class _Connection:
    address: ControllerAddress
    channel: grpc.Channel
    stub: SearchServiceStub


class ControllerClient:
    """One channel a search, kept while its address and certificate stay the same. Calls block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: dict[Key, _Connection] = {}

    def summary(self, key: Key, address: ControllerAddress) -> pb.Summary:
        """How the search stands.

        Raises:
            ControllerError: the controller does not say.
        """
        return self._call(key, address, lambda stub: stub.GetSummary(pb.GetSummaryRequest(), timeout=_DEADLINE))

    def drain(self, key: Key, address: ControllerAddress, workers: tuple[str, ...]) -> None:
        """Retires workers after what they train.

        Raises:
            ControllerError: the controller has not heard of it.
        """
        request = pb.DrainWorkersRequest(worker_ids=workers)
        self._call(key, address, lambda stub: stub.DrainWorkers(request, timeout=_DEADLINE))

    def set_state(self, key: Key, address: ControllerAddress, request: pb.SetStateRequest) -> None:
        """Suspends the search, or goes on with it.

        Raises:
            ControllerError: the controller has not heard of it, or will not.
        """
        self._call(key, address, lambda stub: stub.SetState(request, timeout=_DEADLINE))

    def forget(self, key: Key) -> None:
        """Closes the channel of a search that is gone."""
        with self._lock:
            connection = self._connections.pop(key, None)
        if connection is not None:
            connection.channel.close()

    def close(self) -> None:
        """Closes all channels. Calls under way fail."""
        for key in list(self._connections):
            self.forget(key)

    def _call(self, key: Key, address: ControllerAddress, method: Callable[[SearchServiceStub], T]) -> T:
        try:
            return method(self._connection(key, address).stub)
        except grpc.RpcError as error:
            raise ControllerError(_words(error, address.target)) from error
        except ValueError as error:  # the channel was closed under the call
            raise ControllerError("the operator is stopping") from error

    def _connection(self, key: Key, address: ControllerAddress) -> _Connection:
        with self._lock:
            connection = self._connections.get(key)
            if connection is not None and connection.address == address:
                return connection
            if connection is not None:
                connection.channel.close()
            pair = address.certificate
            channel = grpc.secure_channel(
                address.target,
                grpc.ssl_channel_credentials(pair.ca, pair.private_key, pair.certificate),
                options=(*_OPTIONS, ("grpc.ssl_target_name_override", address.host)),
            )
            connection = self._connections[key] = _Connection(address, channel, SearchServiceStub(channel))
            return connection


def _words(error: grpc.RpcError, target: str) -> str:
    """The same words for the same problem: gRPC's own change from call to call, and end in the status of the search."""
    if not isinstance(error, grpc.Call):
        return "the call to the controller failed"
    code, details = error.code(), error.details() or ""
    logger.debug("call to %s: %s: %s", target, code.name, details)
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"the controller does not answer at {target}"
        case grpc.StatusCode.UNAVAILABLE if "refused" in details.lower():
            return f"the controller cannot be reached at {target}: connection refused"
        case grpc.StatusCode.UNAVAILABLE if any(word in details.lower() for word in _OF_CERTIFICATES):
            return f"no secure connection to the controller at {target}: one side refuses the other's certificate"
        case grpc.StatusCode.UNAVAILABLE:
            return f"the controller does not answer at {target}"
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return f"the controller refuses the operator's certificate: {details}"
        case _:
            return f"the controller answered {code.name}: {details}"
