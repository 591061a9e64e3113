"""kopf as a watch library: all of its decorators are here. It only tells what has happened; it writes nothing.

Kopf's own ways of handling keep their progress in annotations and finalizers of the objects, one handler an object.
Here handlers of events pass on what they are told, and everything else is done by search: see `reconciler`.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import kopf
from nas_api.spec.nassearch import API_GROUP, API_VERSION

from nas_operator.names import FIELD_MANAGER, MANAGED_BY_LABEL
from nas_operator.observed import Object

# Told of an object of a kind, and whether it is gone.
Told = Callable[[str, Object, bool], None]

# Only what the operator has made is listed and watched: a cluster has many Jobs.
OWN_OBJECTS = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
_PAGE = 500
# Seconds. The API server ends watches after 5 to 10 minutes by default, and says something every minute.
_INACTIVITY = 90.0
_EXIT = 1.0


def watch(namespaces: tuple[str, ...], told: Told, stop: threading.Event) -> None:
    """Watches the NASSearches, NASPools, Jobs and StatefulSets until `stop` is set. Call it in a thread of its own.

    Kopf takes the event loop that it runs in for its own: at its end it cancels whatever has been started there.

    Args:
        namespaces: that are watched. None named: all of the cluster.
        told: called for each object that there is, and whenever one changes.
        stop: ends it.

    Raises:
        Exception: a watch cannot go on, for lack of rights for example.
    """
    asyncio.run(
        kopf.operator(
            registry=_registry(told),
            settings=_settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            stop_flag=stop,
        )
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # Which kinds and namespaces there are is known: no rights are needed to look for more.
    settings.scanning.disabled = True
    settings.watching.chunk_size = _PAGE
    settings.watching.inactivity_timeout = _INACTIVITY
    settings.watching.label_selectors["batch", "v1", "jobs"] = OWN_OBJECTS
    settings.watching.label_selectors["apps", "v1", "statefulsets"] = OWN_OBJECTS
    settings.watching.label_selectors[API_GROUP, "naspools"] = OWN_OBJECTS
    settings.queueing.idle_timeout = _EXIT
    settings.queueing.exit_timeout = _EXIT
    # The pod's grace period is what ends an operator that hangs.
    settings.process.ultimate_exiting_timeout = None
    return settings


def _registry(told: Told) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    version = API_VERSION.removeprefix(f"{API_GROUP}/")

    kopf.on.login(registry=registry)(kopf.login_via_client)

    def pass_on(kind: str, event: Any) -> None:
        told(kind, event["object"], event["type"] == "DELETED")

    @kopf.on.event(API_GROUP, version, "nassearches", registry=registry)
    async def search(event: Any, **_: Any) -> None:
        pass_on("NASSearch", event)

    @kopf.on.event(API_GROUP, version, "naspools", registry=registry)
    async def pool(event: Any, **_: Any) -> None:
        pass_on("NASPool", event)

    @kopf.on.event("batch", "v1", "jobs", registry=registry)
    async def job(event: Any, **_: Any) -> None:
        pass_on("Job", event)

    @kopf.on.event("apps", "v1", "statefulsets", registry=registry)
    async def stateful_set(event: Any, **_: Any) -> None:
        pass_on("StatefulSet", event)

    return registry
