"""What a plan can ask for. Each action can be repeated without harm, and a plan may be cut short after any of them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from nas_api.certificates import Identity
from nas_api.rpc import trials_pb2 as pb

from nas_operator.observed import Object


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply (KEP-555) of a whole object as the operator wants it, with `FIELD_MANAGER`, by force.

    With `metadata.resourceVersion` in it, only if nobody has changed it since.
    """

    manifest: Object


@dataclass(frozen=True, slots=True)
class Create:
    """Makes an object that is never changed afterwards (a Job). That it exists already is no error."""

    manifest: Object


@dataclass(frozen=True, slots=True)
class Annotate:
    """Sets annotations of an existing object; None removes one."""

    kind: str
    name: str
    annotations: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class SetOwners:
    """Sets the owners of the very object of this version: with the last of them it goes, without any it stays."""

    kind: str
    name: str
    resource_version: str
    owners: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the very object of this uid, and in the background what it owns. That it is gone is no error."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class CreateAuthority:
    """Makes a certificate authority for the search and keeps it in a Secret. Every certificate is then made anew."""

    secret: str


@dataclass(frozen=True, slots=True)
class IssueCertificate:
    """Issues a certificate by the search's authority and keeps it in a Secret of type kubernetes.io/tls."""

    secret: str
    identity: Identity
    dns_names: tuple[str, ...]
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class DrainWorkers:
    """Asks the controller to retire workers after what they train. Workers that it does not know (yet) count, too."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetState:
    """Asks the controller to suspend the search or to go on with it."""

    state: pb.Summary.State.ValueType
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Applies the status of the NASSearch or of a NASPool (the `/status` subresource)."""

    kind: Literal["NASSearch", "NASPool"]
    name: str
    status: Object


@dataclass(frozen=True, slots=True)
class Emit:
    """An Event (events.k8s.io/v1) about the NASSearch, for `kubectl describe`. Repeated ones are counted."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action = (
    Apply
    | Create
    | Annotate
    | SetOwners
    | Delete
    | CreateAuthority
    | IssueCertificate
    | DrainWorkers
    | SetState
    | WriteStatus
    | Emit
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a search now.

    Attributes:
        actions: in this order.
        look_closer: whether the next reconciliation should list pods and warnings: something is not as it should be,
            or a worker is to go.
        again_after: look at the search again after this long, though nothing may have been heard of it.
    """

    actions: tuple[Action, ...]
    look_closer: bool
    again_after: timedelta
