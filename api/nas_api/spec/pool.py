"""`spec.pools`: groups of equal workers. What a user may say of their pods is an allow-list, never a pod template."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nas_api.spec.base import DnsLabel, Duration, LongText, Quantity, ShortText, SpecModel

ResourceName = Annotated[str, Field(min_length=1, max_length=253)]


class Toleration(SpecModel):
    """A taint of nodes that the pool's pods accept (core/v1 Toleration)."""

    key: ShortText | None = None
    """Taint key. Absent with operator Exists: every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How key and value are matched."""
    value: Annotated[str, Field(max_length=253)] | None = None
    """Taint value, with operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect. Absent: every effect."""
    toleration_seconds: int | None = Field(default=None, ge=0, le=10**9)
    """With effect NoExecute: how many seconds a pod stays after the taint appears."""

    @model_validator(mode="after")
    def _kubernetes_would_accept_it(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists matches every value: leave value out, or use operator Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator Equal needs a key: name one, or use operator Exists to accept every taint")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds needs effect NoExecute")
        return self


class Pool(SpecModel):
    """A group of equal workers, each training one architecture at a time."""

    name: DnsLabel
    """Unique in the search."""
    replicas: int = Field(default=1, ge=0, le=10_000)
    """Workers wanted. On a cluster, `kubectl scale naspool` changes it later."""
    resources: dict[ResourceName, Quantity] = Field(default={}, max_length=32)
    """What one worker takes, as requests and limits alike, such as `nvidia.com/gpu: 1`, `cpu: 4`, `memory: 16Gi`."""
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
    drain_timeout: Duration = "30m"
    """On a cluster, how long a worker that should go, because the pool shrinks or changes, may go on with its
    architecture. After that it is ended and its architecture goes to another worker."""
