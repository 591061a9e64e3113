"""Which objects are as the operator wants them: an annotation has the digest of what was wanted when it was applied.

To compare the objects themselves would not do for all: the API server writes quantities of pods in its own way, and a
new version of the operator leaves what runs as it is. Of kinds where neither matters, what was changed by hand is seen.
"""

import hashlib
import json
from typing import Any

from nas_operator.names import APPLIED_ANNOTATION
from nas_operator.observed import Object

_COMPARED = ("Service", "NetworkPolicy", "ConfigMap")


def digest(value: Any) -> str:
    """Of a JSON value: 16 hexadecimal digits, the same for the same value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def stamped(manifest: Object, inputs: Any = None) -> Object:
    """`manifest` with its digest in `APPLIED_ANNOTATION`.

    Args:
        manifest: the whole object.
        inputs: what the object was made of, when that counts and not the object: a new version of the operator that
            makes another object of the same inputs then leaves the old one as it is.
    """
    metadata = manifest["metadata"]
    value = manifest if inputs is None else [inputs, [owner["uid"] for owner in metadata["ownerReferences"]]]
    annotations = metadata.get("annotations", {}) | {APPLIED_ANNOTATION: digest(value)}
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def is_applied(manifest: Object, observed: Object | None) -> bool:
    """Whether `observed` is what applying `manifest`, which is stamped, would give.

    Of a Service, a NetworkPolicy and a ConfigMap every field that was applied must still be there. Of other kinds
    changes that somebody makes by hand are not seen, but for the one that `kubectl scale` makes.
    """
    if observed is None or _marks(manifest) != _marks(observed):
        return False
    kind = manifest.get("kind")
    return kind not in _COMPARED or all(
        # The ports of a Service can have several managers, and applying takes none from another.
        _holds(observed.get(field), manifest[field], others_may_add=kind == "Service")
        for field in manifest.keys() & {"spec", "data"}
    )


def _holds(there: Any, wanted: Any, *, others_may_add: bool) -> bool:
    """Whether `wanted` is in `there`, which may have more fields: defaults."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            _holds(there.get(key), value, others_may_add=others_may_add) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(there, list):
            return False
        if others_may_add:
            return all(any(_holds(item, value, others_may_add=True) for item in there) for value in wanted)
        return len(there) == len(wanted) and all(
            _holds(item, value, others_may_add=False) for item, value in zip(there, wanted, strict=True)
        )
    return bool(there == wanted)


def _marks(of: Object) -> tuple[str | None, int | None]:
    annotations = of["metadata"].get("annotations", {})
    return annotations.get(APPLIED_ANNOTATION), of.get("spec", {}).get("replicas")
