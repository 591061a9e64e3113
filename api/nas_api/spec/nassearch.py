"""`NASSearch`: one search for neural network architectures."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from nas_api.spec.base import SpecModel
from nas_api.spec.budget import Budget
from nas_api.spec.controller import Controller
from nas_api.spec.pool import Pool
from nas_api.spec.reward import Reward
from nas_api.spec.search_space import SearchSpace
from nas_api.spec.trainer import Trainer

API_GROUP = "kubenas.dev"
API_VERSION = f"{API_GROUP}/v1alpha1"


class Metadata(SpecModel):
    """Kubernetes object metadata, as far as a search needs it. The rest is kept by the cluster and ignored here."""

    model_config = ConfigDict(extra="ignore")

    # Names of pods are made of it: 253 would be allowed for the object, 52 leaves room for pool, slot and hash.
    name: Annotated[str, Field(min_length=1, max_length=52, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name of the search."""
    namespace: Annotated[str, Field(max_length=63)] = "default"
    """Namespace of the search, on a cluster."""
    uid: Annotated[str, Field(max_length=64)] = ""
    """Set by the cluster."""


class NASSearchSpec(SpecModel):
    """What to search, how, with which workers and for how long. Every default is the paper's."""

    search_space: SearchSpace = SearchSpace()
    """Which architectures there are. Immutable."""
    controller: Controller = Controller()
    """The policy and how it learns."""
    trainer: Trainer = Trainer()
    """How an architecture is trained and measured."""
    reward: Reward = Reward()
    """What the policy maximises."""
    pools: tuple[Pool, ...] = Field(default=(Pool(name="default"),), min_length=1, max_length=32)
    """Groups of workers."""
    budget: Budget = Budget()
    """When the search ends."""
    suspend: bool = False
    """Whether the search pauses: its workers finish what they train and go."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the journal's volume when the search is deleted."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of everything random: the policy's weights and samples, the validation split, the child networks' weights."""

    @model_validator(mode="after")
    def _pool_names_are_unique(self) -> Self:
        names = [pool.name for pool in self.pools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two pools are named {name!r}: pool names must be unique")
        return self


class NASSearch(SpecModel):
    """A search for neural network architectures with reinforcement learning (Zoph & Le 2017)."""

    model_config = ConfigDict(extra="ignore")  # a manifest read back from a cluster carries status

    api_version: Literal["kubenas.dev/v1alpha1"]
    """The version of this contract."""
    kind: Literal["NASSearch"]
    """NASSearch."""
    metadata: Metadata
    """Name and namespace."""
    spec: NASSearchSpec = NASSearchSpec()
    """What to search."""

    @property
    def full_name(self) -> str:
        """`namespace/name`, unique in a cluster at a time."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
