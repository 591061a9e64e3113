"""`NASSearch`: one search for neural network architectures."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from nas_api.spec.base import DnsLabel, SearchName, SpecModel
from nas_api.spec.budget import Budget
from nas_api.spec.controller import Controller
from nas_api.spec.final_training import FinalTraining
from nas_api.spec.pool import Pool
from nas_api.spec.reward import Reward
from nas_api.spec.search_space import SearchSpace
from nas_api.spec.status import NASSearchStatus
from nas_api.spec.trainer import BUILT_IN_TASKS, LOWER_IS_BETTER, TRAINED_SPACES, Trainer

API_GROUP = "kubenas.dev"
API_VERSION = f"{API_GROUP}/v1alpha1"

# What the results of a search depend on from its first trial: with another it would be another search.
IMMUTABLE_FIELDS = (
    "searchSpace",
    "controller.policy",
    "controller.algorithm.type",
    "trainer.task",
    "trainer.dataset",
    "reward",
    "seed",
)


class Metadata(SpecModel):
    """Kubernetes object metadata, as far as a search needs it. The rest is kept by the cluster and ignored here."""

    model_config = ConfigDict(extra="ignore")

    name: SearchName
    """Name, unique in the namespace."""
    namespace: DnsLabel = "default"
    """Namespace, on a cluster."""
    uid: Annotated[str, Field(max_length=64)] = ""
    """Set by the cluster."""


class NASSearchSpec(SpecModel):
    """What to search, how, with which workers and for how long. The defaults of the method are the paper's."""

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
    final_training: FinalTraining | None = None
    """A second stage, in which the best architectures are trained to the end. None by default."""
    suspend: bool = False
    """Whether the search pauses: its workers finish what they train and go."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the journal's volume when the search is deleted, on a cluster."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of everything random: the policy's weights and samples, the validation split, the child networks' weights.
    Immutable."""

    @field_validator("pools")
    @classmethod
    def _pool_names_are_unique(cls, pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
        names = [pool.name for pool in pools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two pools are named {name!r}: pool names must be unique")
        return pools

    @model_validator(mode="after")
    def _first_training_is_cheaper(self) -> Self:
        low, trainer = self.controller.low_fidelity, self.trainer
        if low.epochs is not None and low.epochs >= trainer.epochs:
            raise ValueError(
                f"controller.lowFidelity.epochs ({low.epochs}) is not less than trainer.epochs ({trainer.epochs}): "
                "the first training would be no cheaper than a full one"
            )
        if low.data_fraction < 1 and trainer.task == "language-model":
            raise ValueError(
                "controller.lowFidelity.dataFraction is not for language-model: give its first training fewer epochs"
            )
        return self

    @model_validator(mode="after")
    def _final_training_is_possible(self) -> Self:
        if self.final_training is not None:
            self.final_training.check(self.trainer)
        return self

    @model_validator(mode="after")
    def _bootstrap_is_of_the_type(self) -> Self:
        for index, given in enumerate(self.controller.bootstrap.architectures):
            if given.type != self.search_space.type:
                raise ValueError(
                    f"controller.bootstrap.architectures[{index}] is a {given.type}, "
                    f"and searchSpace.type is {self.search_space.type}"
                )
        return self

    @model_validator(mode="after")
    def _early_stopping_can_stop(self) -> Self:
        rule, epochs = self.controller.early_stopping, self.trainer.epochs
        field, step = rule.first_step
        if not self.trainer.is_user_task and step >= epochs:
            earlier = f"set controller.earlyStopping.{field} to less than {epochs}, " if epochs > 1 else ""
            raise ValueError(
                f"controller.earlyStopping of type {rule.type} stops nothing before the end of epoch {step}, and "
                f"trainer.epochs is {epochs}: {earlier}train for longer, or let the type be None"
            )
        return self

    @model_validator(mode="after")
    def _the_task_can_do_it(self) -> Self:
        if self.trainer.is_user_task:
            if self.search_space.constrained:
                raise ValueError(
                    "searchSpace.convNet.constraints need the shape of the data, which is known of built-in tasks "
                    f"alone: leave them out, or check the size in your task {self.trainer.task}"
                )
            return self
        trained = TRAINED_SPACES[self.trainer.task]
        if self.search_space.type != trained:
            raise ValueError(
                f"trainer.task {self.trainer.task} trains a {trained}: set searchSpace.type to it, or change the task. "
                "A task of your own (module:function) can train anything"
            )
        reported = BUILT_IN_TASKS[self.trainer.task]
        if self.reward.metric not in reported:
            raise ValueError(
                f"reward.metric {self.reward.metric!r} is not reported by {self.trainer.task}, "
                f"which reports {', '.join(reported)}"
            )
        if self.reward.prefers_high == self.reward.metric.endswith(LOWER_IS_BETTER):
            raise ValueError(
                f"reward.exponent {self.reward.exponent:g} prefers the worst {self.reward.metric}: "
                "give it the other sign"
            )
        return self


class NASSearch(SpecModel):
    """A search for neural network architectures with reinforcement learning (Zoph & Le 2017)."""

    api_version: Literal["kubenas.dev/v1alpha1"]
    """Version of the API."""
    kind: Literal["NASSearch"]
    """Kind of object."""
    metadata: Metadata
    """Name and namespace."""
    spec: NASSearchSpec = NASSearchSpec()
    """What to search, how, and for how long."""
    status: NASSearchStatus = NASSearchStatus()
    """How far the search is. Written by the cluster."""

    @property
    def full_name(self) -> str:
        """`namespace/name`, unique in a cluster at a time."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
