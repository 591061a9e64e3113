"""Which objects are as the operator wants them: an annotation has the digest of what was wanted when it was applied.

To compare the objects themselves would not do: the API server adds defaults and writes quantities in its own way.
"""

import hashlib
import json
from typing import Any

from nas_operator.names import APPLIED_ANNOTATION
from nas_operator.observed import Object


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

    Changes that somebody makes by hand are not seen, but for the one that `kubectl scale` makes.
    """
    if observed is None:
        return False
    return _marks(manifest) == _marks(observed)


def _marks(of: Object) -> tuple[str | None, int | None]:
    annotations = of["metadata"].get("annotations", {})
    return annotations.get(APPLIED_ANNOTATION), of.get("spec", {}).get("replicas")
