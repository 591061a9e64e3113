"""Reading Kubernetes objects: what an annotation or a time says, whatever somebody has written there."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nas_operator.observed import Object

# A node that answers has ended a pod long before.
_LOST = timedelta(minutes=1)


def name_of(observed: Object) -> str:
    """Its name."""
    return str(observed["metadata"]["name"])


def annotations_of(observed: Object) -> Mapping[str, str]:
    """Its annotations."""
    return observed["metadata"].get("annotations") or {}


def labels_of(observed: Object) -> Mapping[str, str]:
    """Its labels."""
    return observed["metadata"].get("labels") or {}


def is_deleting(observed: Object) -> bool:
    """Whether its deletion has begun."""
    return bool(observed["metadata"].get("deletionTimestamp"))


def is_lost(pod: Object, now: datetime) -> bool:
    """Whether a pod should have been gone for a while: its node does not answer, and nobody says that it has stopped.

    The time of its deletion has the grace period in it.
    """
    gone_by = parse_time(pod["metadata"].get("deletionTimestamp"))
    ended = status_of(pod).get("phase") in ("Succeeded", "Failed")
    return gone_by is not None and gone_by + _LOST <= now and not ended


def generation_of(observed: Object) -> int:
    """How often its specification has changed, from 1."""
    return int(observed["metadata"].get("generation") or 0)


def status_of(observed: Object | None) -> Mapping[str, Any]:
    """Its status, empty when it has none yet."""
    return (observed or {}).get("status") or {}


def condition_of(observed: Object, type_: str) -> Object | None:
    """The condition of that type in its status, if its status there is True."""
    for condition in status_of(observed).get("conditions") or ():
        if condition.get("type") == type_ and condition.get("status") == "True":
            return dict(condition)
    return None


def whole_number(text: str | None, default: int | None = None) -> int | None:
    """The number from 0 that a label or annotation holds, `default` when it holds none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else default


def parse_time(text: str | None) -> datetime | None:
    """The point in time that `text` names in RFC 3339, UTC. None when it names none."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo is not None else None


def format_time(time: datetime) -> str:
    """`time` as Kubernetes writes it: RFC 3339 in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
