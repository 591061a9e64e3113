"""`EventRecorder`: Events (events.k8s.io/v1) about searches, for `kubectl describe`. Repeated ones are counted."""

import hashlib
import socket
from datetime import UTC, datetime

from nas_operator.actions import Emit
from nas_operator.kubernetes_api import ApiError, KubernetesApi
from nas_operator.names import FIELD_MANAGER, SEARCH_LABEL, fit
from nas_operator.observed import Object

# What the API server takes (validation of events.k8s.io/v1).
_LONGEST_NOTE = 1024
_LONGEST_NAME = 253


class EventRecorder:
    """Writes events. The same thing said again is one event with a count, also after a restart of the operator.

    An event is named after what it says, so that a repetition meets the first one. The API server forgets events after
    an hour.
    """

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._instance = socket.gethostname()

    def emit(self, search: Object, event: Emit) -> None:
        """Says something about a search.

        Raises:
            ApiError: the API server does not take it.
        """
        metadata = search["metadata"]
        namespace, now = metadata["namespace"], _micro_time(datetime.now(UTC))
        said = "\n".join((metadata["uid"], event.type, event.reason, event.message))
        name = fit(metadata["name"], _LONGEST_NAME - 17) + "." + hashlib.sha256(said.encode()).hexdigest()[:16]
        try:
            self._api.create_event(
                {
                    "apiVersion": "events.k8s.io/v1",
                    "kind": "Event",
                    "metadata": {"name": name, "namespace": namespace, "labels": {SEARCH_LABEL: metadata["name"]}},
                    "eventTime": now,
                    "type": event.type,
                    "reason": event.reason,
                    "action": "Reconcile",
                    "note": _cut(event.message),
                    "reportingController": f"kubenas.dev/{FIELD_MANAGER}",
                    "reportingInstance": self._instance[:128],
                    "regarding": {
                        "apiVersion": search["apiVersion"],
                        "kind": search["kind"],
                        "namespace": namespace,
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    },
                }
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            self._count(namespace, name, now)

    def _count(self, namespace: str, name: str, now: str) -> None:
        known, _ = self._api.list("Event", namespace, field_selector=f"metadata.name={name}")
        count = max((((event.get("series") or {}).get("count") or 1) for event in known), default=1)
        try:
            self._api.count_event(namespace, name, {"count": count + 1, "lastObservedTime": now})
        except ApiError as error:
            if error.status != 404:  # it was forgotten meanwhile: the next repetition is a first one
                raise


def _micro_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cut(text: str) -> str:
    encoded = text.encode()
    return text if len(encoded) <= _LONGEST_NOTE else encoded[: _LONGEST_NOTE - 3].decode(errors="ignore") + "..."
