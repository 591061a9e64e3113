"""The gRPC server of a controller."""

from collections.abc import Sequence
from pathlib import Path

from grpc import aio
from nas_api.certificates import server_credentials
from nas_api.rpc import trials_pb2_grpc as rpc

from nas_controller.service.coordinator import Coordinator
from nas_controller.service.search_service import SearchService
from nas_controller.service.trial_service import TrialService
from nas_controller.weight_store import WeightStore

# Several times the most workers: gRPC cancels what exceeds it, and thousands may reconnect at once after a restart.
_MAX_PENDING_REQUESTS = 50_000
_MAX_MESSAGE_BYTES = 8 * 2**20


class CannotListenError(Exception):
    """The address cannot be listened on."""


async def start_server(
    coordinator: Coordinator,
    weights: WeightStore,
    certificates: Path,
    listen: str,
    interceptors: Sequence[aio.ServerInterceptor] = (),
) -> tuple[aio.Server, str]:
    """Starts to serve.

    Args:
        coordinator: what the services speak to.
        weights: where what final trainings leave is kept.
        certificates: directory with ca.crt, tls.crt and tls.key.
        listen: HOST:PORT; port 0 takes a free one.
        interceptors: what sees every call.

    Returns:
        The server, and the HOST:PORT that it listens on.

    Raises:
        CannotListenError: `listen` is no address of this machine, or is taken.
        CertificatesError: the certificates cannot be used.
    """
    server = aio.server(
        interceptors=interceptors,
        options=[
            ("grpc.server.max_pending_requests", _MAX_PENDING_REQUESTS),
            ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING_REQUESTS),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    rpc.add_TrialServiceServicer_to_server(TrialService(coordinator, weights), server)
    rpc.add_SearchServiceServicer_to_server(SearchService(coordinator, weights), server)
    try:
        port = server.add_secure_port(listen, server_credentials(certificates))
    except RuntimeError as error:
        raise CannotListenError(f"cannot listen on {listen}: {error}") from error
    if port == 0:
        raise CannotListenError(f"cannot listen on {listen}: no such address, or it is in use")
    await server.start()
    return server, f"{listen.rpartition(':')[0]}:{port}"
