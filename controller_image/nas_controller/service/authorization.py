"""Who may call what, by the identity in the caller's certificate. TLS has checked who made the certificate."""

from collections.abc import Iterable

import grpc
from grpc import aio
from nas_api.certificates import Identity


async def authorize_worker(
    context: "aio.ServicerContext[object, object]", search: str, pools: Iterable[str] = ()
) -> Identity:
    """Lets administrators and workers of all of `pools` through, empty names left out; aborts the call of others.

    Returns:
        Who calls.
    """
    identity = await _identify(context, search)
    foreign = [pool for pool in pools if pool and not identity.may_work(pool)]
    if foreign or identity.role == "controller":
        which = f"pool {foreign[0]!r}" if foreign else "any pool"
        await context.abort(
            grpc.StatusCode.PERMISSION_DENIED, f"the certificate is for {identity}: it may not work for {which}"
        )
    return identity


async def authorize_admin(context: "aio.ServicerContext[object, object]", search: str) -> None:
    """Lets administrators through; aborts the call of others."""
    identity = await _identify(context, search)
    if not identity.is_admin:
        await context.abort(
            grpc.StatusCode.PERMISSION_DENIED, f"the certificate is for {identity}: this method needs that of an admin"
        )


async def _identify(context: "aio.ServicerContext[object, object]", search: str) -> Identity:
    identity = Identity.of_peer(context.auth_context())
    if identity is None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the certificate names no identity of KubeNAS")
        raise AssertionError("abort raises")
    if identity.search != search:
        await context.abort(
            grpc.StatusCode.PERMISSION_DENIED, f"the certificate is for {identity.search}, this is the search {search}"
        )
    return identity
