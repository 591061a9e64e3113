"""The controller's objects: what of them is missing or not as it should be."""

from collections.abc import Iterator
from datetime import datetime

from nas_api.spec import NASSearch

from nas_operator.actions import Apply, SetOwners
from nas_operator.names import DEFAULT_IMAGE_ANNOTATION, best_name
from nas_operator.observed import Object, Observed
from nas_operator.planning.objects import annotations_of, generation_of, is_deleting, name_of, status_of
from nas_operator.resources.applied import is_applied
from nas_operator.resources.best import build_best
from nas_operator.resources.controller import build_service, build_stateful_set
from nas_operator.resources.manifest import build_manifest
from nas_operator.resources.network import build_network_policies
from nas_operator.resources.owner import owner_reference
from nas_operator.settings import Settings


def plan_controller(
    search: NASSearch, observed: Observed, settings: Settings, goes_at: datetime | None, now: datetime
) -> Iterator[Apply | SetOwners]:
    """Applies manifest, Service, NetworkPolicies and StatefulSet where they are not as they should be.

    The journal's claim is made to go with the search, or not to, as `spec.deletionPolicy` says.

    Args:
        search: whose controller it is.
        observed: what there is.
        settings: of the operator.
        goes_at: when the controller is not needed any more, see `controller_goes_at`.
        now: UTC.
    """
    manifest = build_manifest(search)
    policies = [
        (policy, observed.network_policies.get(name_of(policy))) for policy in build_network_policies(search, settings)
    ]
    replicas = 0 if goes_at is not None and goes_at <= now else 1
    for wanted, there in (
        (manifest, observed.config_maps.get(name_of(manifest))),
        (build_service(search), observed.service),
        *policies,
        (_stateful_set(search, observed, settings, replicas), observed.stateful_set),
    ):
        if not is_applied(wanted, there):
            yield Apply(wanted)
    yield from _own_journal(search, observed.journal_claim)


def has_read_manifest(search: NASSearch, observed: Observed, settings: Settings) -> bool:
    """Whether the controller's pod is the one that the manifest asks for, so that it has read this very manifest."""
    there, status = observed.stateful_set, status_of(observed.stateful_set)
    return (
        there is not None
        and is_applied(_stateful_set(search, observed, settings, 1), there)
        and status.get("observedGeneration", 0) >= generation_of(there)
        and status.get("currentRevision") == status.get("updateRevision")
        and bool(status.get("readyReplicas"))
    )


def plan_best(search: NASSearch, observed: Observed) -> Iterator[Apply]:
    """Applies the ConfigMap with the best architecture of a search that has ended."""
    summary = observed.summary
    if summary is None or not summary.best:
        return
    shape = summary.data_shape if summary.HasField("data_shape") else None
    try:
        best = build_best(search, summary.final_best if summary.HasField("final_best") else summary.best[0], shape)
    except ValueError:  # an architecture of a kind that only a newer controller has
        return
    if not is_applied(best, observed.config_maps.get(best_name(search.metadata.name))):
        yield Apply(best)


def _own_journal(search: NASSearch, claim: Object | None) -> Iterator[SetOwners]:
    if claim is None or is_deleting(claim):
        return
    owners = claim["metadata"].get("ownerReferences") or []
    if any(owner["kind"] == "NASSearch" and owner["uid"] != search.metadata.uid for owner in owners):
        return  # of an earlier search of the name, with which it is about to go
    others = [owner for owner in owners if owner["uid"] != search.metadata.uid]
    owned, should_be = len(others) < len(owners), search.spec.deletion_policy == "Delete"
    if owned != should_be:
        wanted = [*others, owner_reference(search)] if should_be else others
        version = str(claim["metadata"].get("resourceVersion") or "")
        yield SetOwners("PersistentVolumeClaim", name_of(claim), version, tuple(wanted))


def _stateful_set(search: NASSearch, observed: Observed, settings: Settings, replicas: int) -> Object:
    there = observed.stateful_set
    # An upgrade of the operator leaves the controller as it is, once it has ever answered: before that, its image may
    # be wrong, and the upgrade the correction.
    has_answered = bool(status_of(observed.search).get("startedAt"))
    pinned = annotations_of(there).get(DEFAULT_IMAGE_ANNOTATION) if there and has_answered else None
    return build_stateful_set(search, settings, pinned or settings.controller_image, replicas, there)
