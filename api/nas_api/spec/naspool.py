"""`NASPool`: one pool of a search as an object of its own, so that `kubectl scale`, HPA and KEDA work on it."""

from typing import Literal

from pydantic import Field

from nas_api.spec.base import DnsLabel, ShortText, SpecModel
from nas_api.spec.nassearch import Metadata


class NASPoolSpec(SpecModel):
    """The part of a pool that is scaled; the rest is in the search."""

    search: ShortText
    """The NASSearch that this pool works for. Immutable."""
    pool: DnsLabel
    """Its entry in `spec.pools` there. Immutable."""
    replicas: int = Field(default=1, ge=0, le=10_000)
    """Workers wanted: what `/scale` sets."""


class NASPool(SpecModel):
    """A pool of workers of a NASSearch, made and owned by it."""

    api_version: Literal["kubenas.dev/v1alpha1"]
    """The version of this contract."""
    kind: Literal["NASPool"]
    """NASPool."""
    metadata: Metadata
    """Name and namespace."""
    spec: NASPoolSpec
    """What is wanted."""
