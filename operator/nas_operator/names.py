"""Names and labels of what the operator makes for a search.

They follow from the search alone, so that a repeated reconciliation finds what an earlier one made.
"""

import hashlib
from collections.abc import Mapping

from nas_api.spec.nassearch import API_GROUP

FIELD_MANAGER = "kubenas-operator"

SEARCH_LABEL = f"{API_GROUP}/search"
POOL_LABEL = f"{API_GROUP}/pool"
SLOT_LABEL = f"{API_GROUP}/slot"
TEMPLATE_LABEL = f"{API_GROUP}/template"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"

# Digest of the object as the operator last applied it: an object whose digest is right is left alone.
APPLIED_ANNOTATION = f"{API_GROUP}/applied"
# Since when a worker is asked to go, RFC 3339.
DRAINING_ANNOTATION = f"{API_GROUP}/draining-since"
# On a Job that tries whether workers can live by now: how many have failed in a row before it.
RETRY_ANNOTATION = f"{API_GROUP}/retry"
# On a Job: `drainTimeout` of its pool when it was made, for when the search lists that pool no more.
DRAIN_TIMEOUT_ANNOTATION = f"{API_GROUP}/drain-timeout"
# `spec.pools[].replicas` when it was last copied to the NASPool: an edit there wins, else `kubectl scale` does.
REPLICAS_ANNOTATION = f"{API_GROUP}/replicas-of-search"
# On a NASPool and on the controller's StatefulSet: the image of its pods when the search names none. It is what the
# operator had when they were first at work, so that an upgrade of the operator restarts nothing.
DEFAULT_IMAGE_ANNOTATION = f"{API_GROUP}/default-image"
# On the controller's pod: digest of what it reads of the manifest. Another one, and it starts anew.
MANIFEST_ANNOTATION = f"{API_GROUP}/manifest"
# On the pods of the operator itself, wherever it is installed: controllers let them in.
OPERATOR_LABELS = {f"{API_GROUP}/operator": "true"}

# Of the controller's volume.
JOURNAL = "journal"

# The StatefulSet's pods carry its name and a hash of 10 letters in a label of at most 63.
_STATEFUL_SET_NAME = 52
# A Job's pods are named after it with 6 more characters, and carry its name in a label of at most 63.
_JOB_NAME = 57
_OBJECT_NAME = 253


def fit(name: str, limit: int) -> str:
    """`name`, or when it has more than `limit` characters, its beginning and a digest of it."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: limit - 7].rstrip('-')}-{digest}"


def controller_name(search: str) -> str:
    """Of the controller's StatefulSet, Service and NetworkPolicy."""
    # The name of a Service begins with a letter (RFC 1035), that of a search may begin with a digit.
    prefix = "nas-" if search[0].isdigit() else ""
    return fit(f"{prefix}{search}-controller", _STATEFUL_SET_NAME)


def journal_claim_name(search: str) -> str:
    """Of the PersistentVolumeClaim that the StatefulSet makes for the journal."""
    return f"{JOURNAL}-{controller_name(search)}-0"


def workers_name(search: str) -> str:
    """Of the NetworkPolicy of the workers."""
    return fit(f"{search}-workers", _OBJECT_NAME)


def manifest_name(search: str) -> str:
    """Of the ConfigMap with the manifest, `search.yaml`, that controller and workers read."""
    return fit(f"{search}-manifest", _OBJECT_NAME)


def best_name(search: str) -> str:
    """Of the ConfigMap with the best architecture."""
    return fit(f"{search}-best", _OBJECT_NAME)


def authority_name(search: str) -> str:
    """Of the Secret with the search's certificate authority."""
    return fit(f"{search}-ca", _OBJECT_NAME)


def controller_certificate_name(search: str) -> str:
    """Of the Secret with the controller's certificate."""
    return fit(f"{search}-controller-tls", _OBJECT_NAME)


def admin_certificate_name(search: str) -> str:
    """Of the Secret with the administrator's certificate: the operator's, and that of users who may read it."""
    return fit(f"{search}-admin-tls", _OBJECT_NAME)


def pool_certificate_name(search: str, pool: str) -> str:
    """Of the Secret with the certificate of a pool's workers."""
    return fit(f"{search}-pool-{pool}-tls", _OBJECT_NAME)


def pool_name(search: str, pool: str) -> str:
    """Of the NASPool."""
    return fit(f"{search}-{pool}", _OBJECT_NAME)


def job_name(search: str, pool: str, slot: int, template: str) -> str:
    """Of the Job of one worker: `{search}-{pool}-{slot}-{template}`."""
    suffix = f"-{slot}-{template}"
    return fit(f"{search}-{pool}", _JOB_NAME - len(suffix)) + suffix


def labels(search: str, component: str) -> dict[str, str]:
    """Of every object of a search.

    Args:
        search: its name.
        component: `controller`, `worker`, `pool`, `manifest`, `certificates`, `network` or `result`.
    """
    return {
        "app.kubernetes.io/name": "kubenas",
        COMPONENT_LABEL: component,
        MANAGED_BY_LABEL: FIELD_MANAGER,
        SEARCH_LABEL: search,
    }


def search_of(labels: Mapping[str, str]) -> str | None:
    """The search that an object with these labels was made for. None: the operator has not made it."""
    return labels.get(SEARCH_LABEL) if labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER else None
