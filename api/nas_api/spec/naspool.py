"""`NASPool`: one pool of a search as an object of its own, so that `kubectl scale`, HPA and KEDA work on it."""

from typing import Annotated, Literal

from pydantic import Field

from nas_api.spec.base import NAME_PATTERN, DnsLabel, SearchName, SpecModel
from nas_api.spec.nassearch import Metadata
from nas_api.spec.status import NASPoolStatus


class NASPoolSpec(SpecModel):
    """The part of a pool that is scaled. The rest is in the search."""

    search: SearchName
    """The NASSearch that this pool works for. Immutable."""
    pool: DnsLabel
    """Its entry in `spec.pools` there. Immutable."""
    replicas: int = Field(default=1, ge=0, le=10_000)
    """Workers wanted: what `kubectl scale`, an autoscaler or KEDA sets."""


class NASPoolMetadata(Metadata):
    """Kubernetes object metadata, as far as a pool needs it."""

    name: Annotated[
        str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN, json_schema_extra={"format": "dns-label"})
    ]
    """Name, unique in the namespace: of the search and the pool."""


class NASPool(SpecModel):
    """A pool of workers of a NASSearch, made and owned by it."""

    api_version: Literal["kubenas.dev/v1alpha1"]
    """Version of the API."""
    kind: Literal["NASPool"]
    """Kind of object."""
    metadata: NASPoolMetadata
    """Name and namespace."""
    spec: NASPoolSpec
    """Which pool, and how many workers."""
    status: NASPoolStatus = NASPoolStatus()
    """How many workers there are. Written by the cluster."""
