"""Whose an object is: every one belongs to its NASSearch, and the garbage collector deletes it with it."""

from nas_api.spec import NASSearch
from nas_api.spec.nassearch import API_VERSION

from nas_operator.names import labels
from nas_operator.observed import Object


def owned_metadata(search: NASSearch, name: str, component: str, more_labels: dict[str, str] | None = None) -> Object:
    """Metadata of an object of a search.

    Args:
        search: the owner, with the uid that the cluster gave it.
        name: of the object.
        component: what it is part of, see `names.labels`.
        more_labels: beside those of every object.
    """
    return {
        "name": name,
        "namespace": search.metadata.namespace,
        "labels": labels(search.metadata.name, component) | (more_labels or {}),
        "ownerReferences": [owner_reference(search) | {"controller": True}],
    }


def owner_reference(search: NASSearch) -> Object:
    """What makes an object go with the search."""
    return _reference("NASSearch", search.metadata.name, search.metadata.uid)


def pool_reference(pool: Object) -> Object:
    """What makes an object go with the NASPool.

    Args:
        pool: as it is in the cluster.
    """
    return _reference("NASPool", pool["metadata"]["name"], pool["metadata"].get("uid"))


def _reference(kind: str, name: str, uid: str | None) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        # The owner can always be deleted, and goes first: nothing that holds up what it owns can keep it.
        "blockOwnerDeletion": False,
    }
