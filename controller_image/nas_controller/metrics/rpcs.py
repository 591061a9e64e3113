"""`RpcObserver`: counts and times the calls of the gRPC services."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from grpc import aio

from nas_controller.metrics.search_metrics import SearchMetrics

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Found: TypeAlias = "Handler | None"


class RpcObserver(aio.ServerInterceptor):
    """Wraps each handler once. Streams are counted and not timed: they last as long as somebody watches."""

    def __init__(self, metrics: SearchMetrics) -> None:
        self._metrics = metrics
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        """Gives the handler of a call, wrapped."""
        path = handler_call_details.method
        if path not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:  # no such method
                return None
            self._wrapped[path] = self._wrap(path.rpartition("/")[2], handler)
        return self._wrapped[path]

    def _wrap(self, method: str, handler: Handler) -> Handler:
        if handler.unary_unary is not None:
            make, behaviour = grpc.unary_unary_rpc_method_handler, self._unary(method, handler.unary_unary)
        else:
            make, behaviour = grpc.unary_stream_rpc_method_handler, self._stream(method, handler.unary_stream)
        return make(behaviour, handler.request_deserializer, handler.response_serializer)

    def _unary(self, method: str, behaviour: Any) -> Any:
        async def call(request: Any, context: Any) -> Any:
            began = time.perf_counter()
            code = "UNKNOWN"
            try:
                reply = await behaviour(request, context)
                code = _code_of(context)
            except aio.AbortError:
                code = _code_of(context)
                raise
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                self._count(method, code)
                self._metrics.rpc_seconds[method,].observe(time.perf_counter() - began)
            return reply

        return call

    def _stream(self, method: str, behaviour: Any) -> Any:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            code = "CANCELLED"  # also when the caller goes and nobody asks for more
            try:
                async for reply in behaviour(request, context):
                    yield reply
                code = _code_of(context)
            except aio.AbortError:
                code = _code_of(context)
                raise
            except Exception:
                code = "UNKNOWN"
                raise
            finally:
                self._count(method, code)

        return call

    def _count(self, method: str, code: str) -> None:
        self._metrics.rpcs[method, code if (method, code) in self._metrics.rpcs else "UNKNOWN"].inc()


def _code_of(context: Any) -> str:
    """The name of the status that a handler has set; without one all is well."""
    code = context.code()
    return "OK" if code is None else str(code.name)
