"""The NASPools of a search: what `kubectl scale`, autoscalers and KEDA change."""

from nas_api.spec import NASSearch, Pool
from nas_api.spec.nassearch import API_VERSION

from nas_operator.names import DEFAULT_IMAGE_ANNOTATION, POOL_LABEL, REPLICAS_ANNOTATION, pool_name
from nas_operator.observed import Object
from nas_operator.resources.applied import stamped
from nas_operator.resources.owner import owned_metadata


def build_pool(search: NASSearch, pool: Pool, replicas: int, default_image: str) -> Object:
    """The NASPool of an entry of `spec.pools`.

    Args:
        search: the owner.
        pool: the entry.
        replicas: workers wanted: of the entry, or what the NASPool has been scaled to since.
        default_image: of workers for which the manifest names none.
    """
    metadata = owned_metadata(search, pool_name(search.metadata.name, pool.name), "pool", {POOL_LABEL: pool.name})
    metadata["annotations"] = {REPLICAS_ANNOTATION: str(pool.replicas), DEFAULT_IMAGE_ANNOTATION: default_image}
    spec = {"search": search.metadata.name, "pool": pool.name}
    return stamped(
        {
            "apiVersion": API_VERSION,
            "kind": "NASPool",
            "metadata": metadata,
            "spec": spec | {"replicas": replicas},
        },
        # Without the replicas: whoever scales a pool changes nothing that the operator has applied.
        inputs=[metadata, spec],
    )
