"""`Cache`: what the watches and lists have told, by search."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from nas_operator.names import search_of
from nas_operator.observed import Object

WATCHED_KINDS = ("NASSearch", "NASPool", "Job", "StatefulSet")
# Their status is written by nobody but the operator.
_OWN_STATUS = ("NASSearch", "NASPool")


class Key(NamedTuple):
    """A search: what is reconciled."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(kind: str, watched: Object) -> Key | None:
    """The search that an object belongs to. None: it is none of the operator's."""
    metadata = watched["metadata"]
    name = metadata["name"] if kind == "NASSearch" else search_of(metadata.get("labels") or {})
    return None if name is None else Key(metadata["namespace"], name)


class _Awaited(NamedTuple):
    """What a list has shown and the watch has yet to tell of."""

    kind: str
    namespace: str
    name: str
    version: int
    since: float


class Cache:
    """Objects of the watched kinds, each in the newest version that anybody has told of.

    It is told by watches, by lists and by the answers to what the operator writes, in any order: an older version never
    replaces a newer one (resource versions can be compared, KEP-5504), and what is deleted never comes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._objects: dict[Key, dict[str, dict[str, Object]]] = {}
        # Uids of what was deleted, with the number of the resync in which that was heard.
        self._deleted: dict[str, int] = {}
        self._resync = 0
        # By uid.
        self._awaited: dict[str, _Awaited] = {}

    def keys(self) -> list[Key]:
        """Searches that exist."""
        return [key for key, kinds in self._objects.items() if kinds.get("NASSearch")]

    def objects(self, key: Key) -> Mapping[str, Mapping[str, Object]]:
        """By kind and name, what is there for a search. A copy, whose objects are not to be changed."""
        return {kind: dict(objects) for kind, objects in self._objects.get(key, {}).items()}

    def count(self) -> int:
        """How many objects there are."""
        return sum(len(objects) for kinds in self._objects.values() for objects in kinds.values())

    def watched(self, kind: str, told: Object, *, deleted: bool) -> Key | None:
        """Takes what a watch tells.

        Returns:
            the search to look at; None if this was known, or cannot matter.
        """
        metadata = told["metadata"]
        awaited = self._awaited.get(metadata["uid"])
        if awaited is not None and (deleted or int(metadata["resourceVersion"]) >= awaited.version):
            del self._awaited[metadata["uid"]]
        return self.remove(kind, told) if deleted else self.put(kind, told)

    def generation(self, kind: str, told: Object) -> int | None:
        """How often the specification of an object has changed, as far as is known. None: it is not known at all."""
        key = key_of(kind, told)
        known = self._objects.get(key, {}).get(kind, {}).get(told["metadata"]["name"]) if key else None
        return None if known is None else known["metadata"].get("generation")

    def put(self, kind: str, told: Object) -> Key | None:
        """Takes an object as it was at some time.

        Returns:
            the search to look at; None if this was known, or cannot matter.
        """
        metadata = told["metadata"]
        key = key_of(kind, told)
        if key is None or metadata["uid"] in self._deleted:
            return None
        objects = self._objects.setdefault(key, {}).setdefault(kind, {})
        known = objects.get(metadata["name"])
        if known is not None and _version(known) >= _version(told):
            return None
        told = objects[metadata["name"]] = _without_bulk(told)
        if kind in _OWN_STATUS and known is not None and _without_status(known) == _without_status(told):
            return None
        return key

    def remove(self, kind: str, gone: Object) -> Key | None:
        """Takes that an object is gone.

        Returns:
            the search to look at; None if this was known.
        """
        key = key_of(kind, gone)
        uid = gone["metadata"]["uid"]
        self._deleted[uid] = self._resync
        if key is None:
            return None
        kinds = self._objects.get(key, {})
        known = kinds.get(kind, {}).get(gone["metadata"]["name"])
        if known is None or known["metadata"]["uid"] != uid:
            return None
        del kinds[kind][gone["metadata"]["name"]]
        if not any(kinds.values()):
            del self._objects[key]
        return key

    def replace(self, kind: str, namespace: str | None, listed: Iterable[Object], version: int) -> set[Key]:
        """Takes a list of all objects of a kind in a namespace, or (None) in the cluster.

        Returns:
            searches to look at, since a watch has missed something or has not told it yet.
        """
        changed: set[Key] = set()
        uids = set()
        for told in listed:
            uid = told["metadata"]["uid"]
            uids.add(uid)
            key = key_of(kind, told)
            known = None if key is None else self._objects.get(key, {}).get(kind, {}).get(told["metadata"]["name"])
            if key is None or uid in self._deleted or (known is not None and _version(known) >= _version(told)):
                continue
            self._awaited[uid] = _Awaited(kind, key.namespace, told["metadata"]["name"], _version(told), self._clock())
            news = self.put(kind, told)
            if news is not None:
                changed.add(news)
        for key in [key for key in self._objects if namespace in (None, key.namespace)]:
            for known in list(self._objects.get(key, {}).get(kind, {}).values()):
                if known["metadata"]["uid"] not in uids and _version(known) <= version:
                    self.remove(kind, known)
                    changed.add(key)
        self._awaited = {
            uid: awaited
            for uid, awaited in self._awaited.items()
            if uid in uids or awaited.kind != kind or namespace not in (None, awaited.namespace)
        }
        return changed

    def begin_resync(self) -> None:
        """Before lists of all kinds are asked for."""
        self._resync += 1

    def end_resync(self) -> None:
        """After they were taken. Lists that begin from now on cannot show what was deleted before they began."""
        self._deleted = {uid: resync for uid, resync in self._deleted.items() if resync >= self._resync}

    def watch_lag(self) -> dict[str, float]:
        """By kind, for how many seconds a watch has not told of what a list has shown."""
        lags: dict[str, float] = {}
        for awaited in self._awaited.values():
            lags[awaited.kind] = max(lags.get(awaited.kind, 0.0), self._clock() - awaited.since)
        return lags

    def stale_watch(self, seconds: float) -> str | None:
        """What a watch should have told more than `seconds` ago, in words. None: nothing."""
        for kind, namespace, name, _, since in self._awaited.values():
            if (waited := self._clock() - since) > seconds:
                return f"the watch has not told of {kind} {namespace}/{name}, which a list showed {waited:.0f} s ago"
        return None


def _without_bulk(told: Object) -> Object:
    """Without what no plan looks at, and what makes up most of a Job."""
    metadata = {name: value for name, value in told["metadata"].items() if name != "managedFields"}
    spec = {name: value for name, value in told.get("spec", {}).items() if told["kind"] != "Job" or name != "template"}
    return told | {"metadata": metadata, "spec": spec}


def _version(known: Object) -> int:
    return int(known["metadata"]["resourceVersion"])


def _without_status(known: Object) -> Object:
    metadata = {name: value for name, value in known["metadata"].items() if name != "resourceVersion"}
    return {name: value for name, value in known.items() if name not in ("status", "metadata")} | {"metadata": metadata}
