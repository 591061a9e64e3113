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
        # With `controller` the API server refuses an object of this name that another search owns. The owner may be
        # deleted before what it owns: nothing that goes wrong there can keep it.
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "NASSearch",
                "name": search.metadata.name,
                "uid": search.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def is_owned(search: NASSearch, observed: Object) -> bool:
    """Whether `observed` belongs to this very search, and not to an earlier one of the same name."""
    references = observed["metadata"].get("ownerReferences", ())
    return any(reference["uid"] == search.metadata.uid for reference in references)
