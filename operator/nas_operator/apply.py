"""`Applier`: carries out the actions of a plan, each by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from nas_api.certificates import CertificateAuthority, CertificatesError
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch

from nas_operator.actions import (
    Action,
    Annotate,
    Apply,
    Create,
    CreateAuthority,
    Delete,
    DrainWorkers,
    Emit,
    IssueCertificate,
    SetOwners,
    SetState,
    WriteStatus,
)
from nas_operator.cache import Key
from nas_operator.controller_client import ControllerAddress, ControllerClient
from nas_operator.events import EventRecorder
from nas_operator.kubernetes_api import ApiError, KubernetesApi
from nas_operator.names import authority_name, labels, search_of
from nas_operator.observed import Object, Observed
from nas_operator.observer import is_orphan_of, is_owned_by
from nas_operator.resources.certificates import (
    AUTHORITY_LIFETIME,
    build_authority,
    build_certificate,
    load_authority,
)


class RefusedError(Exception):
    """An action cannot be carried out for a reason that does not go away by itself; the message says which."""


class ChangedError(Exception):
    """The cluster is not what the plan was made for, or not yet: a new plan will do."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an action has made of an object.

    Attributes:
        kind: of the object.
        now: the object after it. Of one that is gone, as much of it as tells which it was.
        gone: whether it is.
    """

    kind: str
    now: Object
    gone: bool = False


class Applier:
    """Carries out actions for one search.

    Attributes:
        written: objects that were written, the oldest first, also when an action has failed.
    """

    def __init__(
        self,
        api: KubernetesApi,
        controllers: ControllerClient,
        events: EventRecorder,
        key: Key,
        observed: Observed,
        controller_address: Callable[[], ControllerAddress],
    ) -> None:
        """Prepares to change what was observed.

        Args:
            api: where objects are written.
            controllers: by which controllers are asked.
            events: where events go.
            key: the search.
            observed: what the plan was made of.
            controller_address: of the search; called when an action needs it.
        """
        self._api = api
        self._controllers = controllers
        self._events = events
        self._key = key
        self._observed = observed
        self._controller_address = controller_address
        self._authority: CertificateAuthority | None = None
        self.written: list[Written] = []

    def carry_out(self, action: Action) -> None:
        """Carries out one action.

        Raises:
            RefusedError: it cannot be done.
            ChangedError: it is out of date.
            ApiError: the API server does not do it.
            ControllerError: the controller does not do it.
        """
        match action:
            case Apply(manifest):
                self._apply(manifest)
            case Create(manifest):
                self._create(manifest)
            case Annotate(kind, name, annotations):
                patch = {"metadata": {"annotations": annotations}}
                self._note(kind, self._api.merge(kind, self._key.namespace, name, patch))
            case SetOwners(kind, name, version, owners):
                self._set_owners(kind, name, version, owners)
            case Delete(kind, name, uid):
                self._delete(kind, name, uid)
            case CreateAuthority():
                search = self._search()
                self._authority = CertificateAuthority.create(search.full_name, AUTHORITY_LIFETIME)
                self._apply(build_authority(search, self._authority))
            case IssueCertificate(secret, identity, dns_names, lifetime):
                pair = self._load_authority().issue(identity, dns_names, lifetime=lifetime)
                self._apply(build_certificate(self._search(), secret, pair))
            case DrainWorkers(workers):
                self._controllers.drain(self._key, self._controller_address(), workers)
            case SetState(state, reason, message):
                request = pb.SetStateRequest(state=state, reason=reason, message=message)
                self._controllers.set_state(self._key, self._controller_address(), request)
            case WriteStatus(kind, name, status):
                self._write_status(kind, name, status)
            case Emit():
                self._events.emit(self._observed.search, action)
            case _:
                assert_never(action)

    def _apply(self, manifest: Object) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if not self._is_observed(kind, name):
            self._check_owner(kind, name, self._api.get(kind, self._key.namespace, name))
        try:
            self._note(kind, self._api.apply(manifest))
        except ApiError as error:
            if error.status == 409:
                raise ChangedError(f"{kind} {name} was changed meanwhile") from error
            raise

    def _create(self, manifest: Object) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        try:
            self._note(kind, self._api.create(manifest))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            existing = self._api.get(kind, self._key.namespace, name)
            self._check_owner(kind, name, existing)
            if existing is not None:
                self._note(kind, existing)

    def _set_owners(self, kind: str, name: str, version: str, owners: tuple[Object, ...]) -> None:
        patch = {"metadata": {"resourceVersion": version, "ownerReferences": list(owners)}}
        try:
            self._note(kind, self._api.merge(kind, self._key.namespace, name, patch))
        except ApiError as error:
            if error.status in (404, 409):
                raise ChangedError(f"{kind} {name} was changed meanwhile") from error
            raise

    def _delete(self, kind: str, name: str, uid: str) -> None:
        try:
            answer = self._api.delete(kind, self._key.namespace, name, uid)
        except ApiError as error:
            if error.status not in (404, 409):  # 409: there is another one of that name
                raise
            answer = {"kind": "Status"}
        if answer["kind"] == "Status":
            metadata = {
                "name": name,
                "namespace": self._key.namespace,
                "uid": uid,
                "labels": labels(self._key.name, ""),
            }
            self.written.append(Written(kind, {"metadata": metadata}, gone=True))
        else:
            self._note(kind, answer)

    def _write_status(self, kind: str, name: str, status: Object) -> None:
        metadata = {"name": name, "namespace": self._key.namespace}
        try:
            self._note(
                kind,
                self._api.apply(
                    {
                        "apiVersion": self._observed.search["apiVersion"],
                        "kind": kind,
                        "metadata": metadata,
                        "status": status,
                    },
                    "status",
                ),
            )
        except ApiError as error:
            if error.status == 404:
                raise ChangedError(f"{kind} {name} is gone") from error
            raise

    def _note(self, kind: str, now: Object) -> None:
        self.written.append(Written(kind, now))

    def _is_observed(self, kind: str, name: str) -> bool:
        observed = self._observed
        single = {"StatefulSet": observed.stateful_set, "Service": observed.service}.get(kind)
        by_name = {
            "NASPool": observed.pools,
            "Job": observed.jobs,
            "Secret": observed.secrets,
            "ConfigMap": observed.config_maps,
            "NetworkPolicy": observed.network_policies,
        }.get(kind, {})
        return name in by_name or (single is not None and single["metadata"]["name"] == name)

    def _check_owner(self, kind: str, name: str, existing: Object | None) -> None:
        """Keeps the operator from taking over what it has not made."""
        found = self._observed.search
        if existing is None or is_owned_by(found, existing) or is_orphan_of(found, existing):
            return
        search = search_of(existing["metadata"].get("labels") or {})
        owners = existing["metadata"].get("ownerReferences") or ()
        if search == self._key.name and any(owner["kind"] == "NASSearch" for owner in owners):
            raise ChangedError(f"{kind} {name} of an earlier search of this name has not been deleted yet")
        if search not in (None, self._key.name):
            raise RefusedError(
                f"the {kind} {name} is of the NASSearch {search}, and this search needs one of that name, too: "
                "give this search or its pool another name"
            )
        raise RefusedError(
            f"there is a {kind} {name} that was not made for this search, which needs one of that name: "
            f"delete it (kubectl -n {self._key.namespace} delete {kind.lower()} {name}) or give the search another name"
        )

    def _search(self) -> NASSearch:
        search = {name: value for name, value in self._observed.search.items() if name != "status"}
        return NASSearch.model_validate(search)

    def _load_authority(self) -> CertificateAuthority:
        if self._authority is None:
            name = authority_name(self._key.name)
            secret = self._observed.secrets.get(name)
            if secret is None:
                raise ChangedError(f"Secret {name} with the certificate authority is gone")
            try:
                self._authority = load_authority(self._search(), secret)
            except CertificatesError as error:
                raise ChangedError(str(error)) from error
        return self._authority
