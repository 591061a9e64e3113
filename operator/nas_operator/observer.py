"""`Observer`: all that is known of one search, from the cache, the API server and its controller."""

import base64
import binascii
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from nas_api.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, KeyPair

from nas_operator.cache import Key
from nas_operator.controller_client import ControllerAddress, ControllerClient, ControllerError
from nas_operator.kubernetes_api import KubernetesApi
from nas_operator.names import (
    SEARCH_LABEL,
    admin_certificate_name,
    authority_name,
    best_name,
    controller_certificate_name,
    controller_name,
    journal_claim_name,
    manifest_name,
    pool_certificate_name,
    search_of,
    workers_name,
)
from nas_operator.observed import Object, Observed
from nas_operator.resources.controller import CONTROLLER_PORT

Objects = Mapping[str, Mapping[str, Object]]


@dataclass(slots=True)
class _Asked:
    """Objects that are asked for by name and not watched.

    Attributes:
        objects: by kind and name. None: there is no such object, or it is not of this search.
        at: when the oldest of them was asked for, or earlier.
    """

    at: float
    objects: dict[tuple[str, str], Object | None] = field(default_factory=dict)


class Observer:
    """Reads what a plan needs. What is not watched is asked for again every `resync_seconds`, and after a failure."""

    def __init__(
        self,
        api: KubernetesApi,
        controllers: ControllerClient,
        resync_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._controllers = controllers
        self._resync_seconds = resync_seconds
        self._clock = clock
        self._asked: dict[Key, _Asked] = {}

    def observe(self, key: Key, cached: Objects, *, look_closer: bool) -> Observed:
        """What is in the cluster for a search, and what its controller says.

        Args:
            key: the search.
            cached: its objects of the watched kinds; the NASSearch is there.
            look_closer: whether to list pods and warnings, too.

        Raises:
            ApiError: the API server does not say.
        """
        search = cached["NASSearch"][key.name]
        watched = {kind: _owned(search, cached.get(kind, {})) for kind in ("NASPool", "Job", "StatefulSet")}
        asked = self._ask(key, search, watched["NASPool"])
        stateful_set = watched["StatefulSet"].get(controller_name(key.name))
        pods, warnings = self._look_closer(key, search, watched) if look_closer else ({}, ())
        observed = Observed(
            search=search,
            pools=watched["NASPool"],
            jobs=watched["Job"],
            pods=pods,
            pods_listed=look_closer,
            stateful_set=stateful_set,
            journal_claim=self._journal_claim(key, stateful_set),
            service=asked.get(("Service", controller_name(key.name))),
            secrets=_of_kind(asked, "Secret"),
            config_maps=_of_kind(asked, "ConfigMap"),
            network_policies=_of_kind(asked, "NetworkPolicy"),
            warnings=warnings,
        )
        return self._with_summary(key, observed)

    def controller_address(self, key: Key, observed: Observed) -> ControllerAddress:
        """Where the controller of a search is.

        Raises:
            ControllerError: there is no controller to be asked yet.
        """
        if observed.stateful_set is None or observed.service is None:
            raise ControllerError("the controller has not been made yet")
        if not (observed.stateful_set.get("status") or {}).get("readyReplicas"):
            raise ControllerError("the controller's pod is not ready")
        secret = observed.secrets.get(admin_certificate_name(key.name))
        certificate = None if secret is None else _key_pair(secret)
        if certificate is None:
            raise ControllerError("there is no administrator's certificate to ask the controller with")
        address = observed.service["spec"]["clusterIP"]
        target = f"[{address}]:{CONTROLLER_PORT}" if ":" in address else f"{address}:{CONTROLLER_PORT}"
        host = f"{observed.service['metadata']['name']}.{key.namespace}.svc"
        return ControllerAddress(target, host, certificate)

    def written(self, key: Key, kind: str, name: str, now: Object | None) -> None:
        """Takes what an action has made of an object that is not watched. None: it is gone."""
        asked = self._asked.get(key)
        if asked is not None:
            asked.objects[kind, name] = now

    def ask_anew(self, key: Key) -> None:
        """What was asked for may not be true any more, or the search may be gone."""
        self._asked.pop(key, None)

    def _ask(self, key: Key, search: Object, pools: Mapping[str, Object]) -> dict[tuple[str, str], Object]:
        asked = self._asked.get(key)
        if asked is None or self._clock() - asked.at >= self._resync_seconds:
            # Not of all searches at the same time.
            asked = _Asked(self._clock() - self._resync_seconds * random.uniform(0, 0.5))  # noqa: S311
        wanted = set(_asked_for(key.name, search, pools))
        for kind, name in sorted(wanted - asked.objects.keys()):
            asked.objects[kind, name] = self._api.get(kind, key.namespace, name)
        self._asked[key] = asked
        # An action may have given one away since it was asked for.
        return {
            of: found
            for of, found in asked.objects.items()
            if of in wanted and found is not None and is_owned_by(search, found)
        }

    def _journal_claim(self, key: Key, stateful_set: Object | None) -> Object | None:
        """Asked for until it is there: the StatefulSet makes it, and it may be of an earlier search of the name."""
        if stateful_set is None:
            return None
        asked, of = self._asked[key], ("PersistentVolumeClaim", journal_claim_name(key.name))
        if asked.objects.get(of) is None:
            asked.objects[of] = self._api.get(of[0], key.namespace, of[1])
        return asked.objects[of]

    def _look_closer(self, key: Key, search: Object, watched: Objects) -> tuple[dict[str, Object], tuple[Object, ...]]:
        listed, _ = self._api.list("Pod", key.namespace, label_selector=f"{SEARCH_LABEL}={key.name}")
        pods = {pod["metadata"]["name"]: pod for pod in listed}
        uids = {search["metadata"]["uid"]} | {
            known["metadata"]["uid"] for objects in (*watched.values(), pods) for known in objects.values()
        }
        claim = journal_claim_name(key.name)
        warnings, _ = self._api.list("Event", key.namespace, field_selector="type=Warning")
        about = [
            event
            for event in warnings
            if event["involvedObject"].get("uid") in uids
            or (
                event["involvedObject"].get("kind") == "PersistentVolumeClaim"
                and event["involvedObject"].get("name") == claim
            )
        ]
        return pods, tuple(sorted(about, key=_time_of))

    def _with_summary(self, key: Key, observed: Observed) -> Observed:
        try:
            address = self.controller_address(key, observed)
        except ControllerError as error:
            return replace(observed, summary_problem=str(error))
        try:
            return replace(observed, summary=self._controllers.summary(key, address))
        except ControllerError as error:
            # What the address was made of may be gone: the next look is a fresh one.
            for of in (("Service", controller_name(key.name)), ("Secret", admin_certificate_name(key.name))):
                self._asked[key].objects.pop(of, None)
            return replace(observed, summary_problem=str(error))


def is_owned_by(search: Object, found: Object) -> bool:
    """Whether `found` belongs to this very search, and not to an earlier one of its name, or to nobody."""
    owners = found["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == search["metadata"]["uid"] for owner in owners)


def is_orphan_of(search: Object, found: Object) -> bool:
    """Whether `found` was made for a search of this name and is nobody's now.

    So are objects after `kubectl delete --cascade=orphan`, or out of a back-up. They are taken over.
    """
    metadata = found["metadata"]
    owners = metadata.get("ownerReferences") or ()
    return search_of(metadata.get("labels") or {}) == search["metadata"]["name"] and not any(
        owner.get("controller") or owner["kind"] == "NASSearch" for owner in owners
    )


def _owned(search: Object, objects: Mapping[str, Object]) -> dict[str, Object]:
    # An orphan is seen as it is, so that its workers can be replaced, and the number of a pool is kept.
    return {name: found for name, found in objects.items() if is_owned_by(search, found) or is_orphan_of(search, found)}


def _asked_for(search: str, manifest: Object, pools: Mapping[str, Object]) -> Iterator[tuple[str, str]]:
    """Kind and name of all that is not watched."""
    yield "Service", controller_name(search)
    yield "ConfigMap", manifest_name(search)
    yield "ConfigMap", best_name(search)
    yield "NetworkPolicy", controller_name(search)
    yield "NetworkPolicy", workers_name(search)
    yield "Secret", authority_name(search)
    yield "Secret", controller_certificate_name(search)
    yield "Secret", admin_certificate_name(search)
    of_search = {pool["name"] for pool in (manifest.get("spec") or {}).get("pools") or ()}
    for pool in sorted(of_search | {pool["spec"]["pool"] for pool in pools.values()}):
        yield "Secret", pool_certificate_name(search, pool)


def _of_kind(asked: Mapping[tuple[str, str], Object], kind: str) -> dict[str, Object]:
    return {name: found for (of, name), found in asked.items() if of == kind}


def _key_pair(secret: Object) -> KeyPair | None:
    try:
        values = [base64.b64decode(secret["data"][file]) for file in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)]
    except (KeyError, TypeError, binascii.Error):
        return None
    return KeyPair(*values)


def _time_of(event: Object) -> str:
    """When it was last seen, RFC 3339. As text these can be compared to the second."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
