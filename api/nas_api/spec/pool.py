"""`spec.pools`: groups of equal workers. What a user may say of their pods is an allow-list, never a pod template."""

from typing import Annotated, Literal

from pydantic import Field

from nas_api.spec.base import DnsLabel, LongText, Quantity, ShortText, SpecModel

ResourceName = Annotated[str, Field(min_length=1, max_length=253)]


class Toleration(SpecModel):
    """A taint of nodes that the pool's pods accept (core/v1 Toleration)."""

    key: ShortText | None = None
    """Taint key. Absent with operator Exists: every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How key and value are matched."""
    value: Annotated[str, Field(max_length=253)] | None = None
    """Taint value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect. Absent: every effect."""
    toleration_seconds: int | None = Field(default=None, ge=0)
    """With effect NoExecute: how long a pod stays after the taint appears."""


class Pool(SpecModel):
    """A group of equal workers, each training one architecture at a time."""

    name: DnsLabel
    """Unique in the search."""
    replicas: int = Field(default=1, ge=0, le=10_000)
    """Workers wanted. Changed later by `kubectl scale naspool`."""
    resources: dict[ResourceName, Quantity] = Field(default={}, max_length=32)
    """Of one worker, requests and limits alike, such as `nvidia.com/gpu: 1`, `cpu: 4`, `memory: 16Gi`."""
    node_selector: dict[ShortText, Annotated[str, Field(max_length=63)]] = Field(default={}, max_length=32)
    """Labels that a node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32)
    """Taints that the pods accept, such as those of spot nodes."""
    priority_class_name: ShortText | None = None
    """Priority class of the pods."""
    runtime_class_name: ShortText | None = None
    """Runtime class of the pods."""
    queue: ShortText | None = None
    """Kueue LocalQueue that admits the workers."""
    image: LongText | None = None
    """Container image of this pool's workers. The trainer's when absent."""
