"""`spec.controller`: the policy, how it learns, and the pod that runs it."""

from typing import Annotated, Literal, Self

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from nas_api.spec.base import Duration, LongText, Quantity, ShortText, SpecModel
from nas_api.spec.bootstrap import Bootstrap
from nas_api.spec.early_stopping import EarlyStopping
from nas_api.spec.low_fidelity import LowFidelity
from nas_api.spec.pool import ResourceName, Toleration


class Policy(SpecModel):
    """The recurrent policy that proposes architectures (paper, section 3.1 and appendix)."""

    layers: int = Field(default=2, ge=1, le=8)
    """Layers of the LSTM."""
    hidden_size: int = Field(default=35, ge=1, le=1024)
    """Units of each layer."""
    init_scale: float = Field(default=0.08, gt=0, le=10)
    """Weights are initialised uniformly between minus and plus this."""


class Reinforce(SpecModel):
    """REINFORCE with a moving-average baseline (Williams 1992; paper, section 3.2)."""

    learning_rate: float = Field(default=0.0006, gt=0, le=10)
    """Learning rate of Adam, which applies the gradients."""
    baseline_decay: float = Field(default=0.95, ge=0, lt=1)
    """Weight of the past in the baseline: the exponential moving average of the rewards of previous architectures."""
    entropy_weight: float = Field(default=0.0, ge=0, le=100)
    """Weight of the entropy bonus that keeps the policy exploring."""
    max_gradient_norm: float = Field(default=5.0, gt=0, le=1e9)
    """A gradient of a larger 2-norm is scaled down to this."""


class ActorCritic(SpecModel):
    """Advantage actor-critic: REINFORCE whose baseline is learnt, a value head at every decision."""

    learning_rate: float = Field(default=0.03, gt=0, le=10)
    """Learning rate of Adam, which applies the gradients."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of the generalized advantage estimation (Schulman et al. 2016): 1 compares the reward with the value of
    each decision, 0 the value after a decision with the one before."""
    value_weight: float = Field(default=0.5, ge=0, le=100)
    """Weight of the value head's squared error in the loss."""
    baseline_decay: float = Field(default=0.8, ge=0, lt=1)
    """Weight of the past in the baseline: the exponential moving average of the rewards of previous architectures."""
    entropy_weight: float = Field(default=1.5, ge=0, le=100)
    """Weight of the entropy bonus that keeps the policy exploring."""
    max_gradient_norm: float = Field(default=5.0, gt=0, le=1e9)
    """A gradient of a larger 2-norm is scaled down to this."""


class PPO(SpecModel):
    """Proximal policy optimization (Schulman et al. 2017): several steps from each batch, with a clipped objective."""

    learning_rate: float = Field(default=0.006, gt=0, le=10)
    """Learning rate of Adam, which applies the gradients."""
    update_epochs: int = Field(default=4, ge=1, le=100)
    """Gradient steps that are made from each batch."""
    clip_range: float = Field(default=0.2, gt=0, le=10)
    """A decision is made no more likely, nor less, than by this share of its probability when it was sampled."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of the generalized advantage estimation (Schulman et al. 2016): 1 compares the reward with the value of
    each decision, 0 the value after a decision with the one before."""
    value_weight: float = Field(default=0.5, ge=0, le=100)
    """Weight of the value head's squared error in the loss."""
    baseline_decay: float = Field(default=0.8, ge=0, lt=1)
    """Weight of the past in the baseline: the exponential moving average of the rewards of previous architectures."""
    entropy_weight: float = Field(default=1.0, ge=0, le=100)
    """Weight of the entropy bonus that keeps the policy exploring."""
    max_gradient_norm: float = Field(default=5.0, gt=0, le=1e9)
    """A gradient of a larger 2-norm is scaled down to this."""


class RegularizedEvolution(SpecModel):
    """Regularized (aging) evolution (Real et al. 2019): the best of a sample of the youngest is mutated."""

    population_size: int = Field(default=50, ge=1, le=100_000)
    """P: the population is this many architectures, those that finished last. The first P proposals are random."""
    tournament_size: int = Field(default=5, ge=1, le=100_000)
    """S: members of the population drawn at random, the best of which is the next parent."""


class LocalSearch(SpecModel):
    """Best-first local search (White et al. 2021): tries what differs in one decision from the best found."""

    initial_samples: int = Field(default=10, ge=1, le=100_000)
    """Random architectures at the start, and at each restart, the best of which is where the search goes on."""


class Editing(SpecModel):
    """A recurrent policy edits good architectures; a reward model chooses among its proposals what to train."""

    initial_samples: int = Field(default=16, ge=2, le=100_000)
    """Random architectures at the start."""
    candidates: int = Field(default=300, ge=1, le=100_000)
    """Proposals of the policy among which the reward model chooses. 1: there is no choice, and no model."""
    fresh: float = Field(default=0.5, ge=0, le=1)
    """Share of the proposals that are drawn afresh from the policy. The others are edits of good architectures. 1:
    nothing is edited."""
    parents: int = Field(default=20, ge=1, le=10_000)
    """How many of the best architectures are edited. The better ones more often."""
    exploration: float = Field(default=0.6, ge=0, le=1)
    """Share of the edits that are uniformly random, whatever the policy suggests."""
    policy_steps: int = Field(default=2, ge=0, le=1000)
    """Gradient steps of the policy after each batch. 0: it learns nothing, and suggests every edit alike."""
    learning_rate: float = Field(default=0.005, gt=0, le=10)
    """Learning rate of Adam, which applies the gradients."""
    temperature: float = Field(default=1.0, gt=0, le=100)
    """The policy is fitted to architectures weighted by the exponential of their advantage over this."""
    entropy_weight: float = Field(default=0.1, ge=0, le=100)
    """Weight of the entropy bonus that keeps the policy exploring."""
    max_gradient_norm: float = Field(default=5.0, gt=0, le=1e9)
    """A gradient of a larger 2-norm is scaled down to this."""


class Algorithm(SpecModel):
    """What proposes architectures and learns from their rewards: a union, `type` says which is meant."""

    type: Literal["REINFORCE", "ActorCritic", "PPO", "RegularizedEvolution", "LocalSearch", "Editing", "Random"] = (
        "REINFORCE"
    )
    """REINFORCE: the paper's. Editing: finds the most with few trials. ActorCritic and PPO: later policy gradients,
    which learn faster than the paper's. RegularizedEvolution and LocalSearch: without a policy. Random: uniform random
    search, the paper's control experiment."""
    reinforce: Reinforce = Reinforce()
    """With `type: REINFORCE`."""
    actor_critic: ActorCritic = ActorCritic()
    """With `type: ActorCritic`."""
    ppo: PPO = PPO()
    """With `type: PPO`."""
    regularized_evolution: RegularizedEvolution = RegularizedEvolution()
    """With `type: RegularizedEvolution`."""
    local_search: LocalSearch = LocalSearch()
    """With `type: LocalSearch`."""
    editing: Editing = Editing()
    """With `type: Editing`."""


SEVERAL_STEPS = ("PPO", "Editing")
"""Algorithms that make several steps from each batch, one after the other."""


class Parallelism(SpecModel):
    """The parameter-server scheme (paper, section 3.2): S shards, K controller replicas, m architectures each."""

    parameter_shards: int = Field(default=20, ge=1, le=1000)
    """S: into how many shards the policy's parameters are divided."""
    replicas: Literal["auto"] | Annotated[int, Ge(1), Le(10_000)] = "auto"
    """K: how many replicas have a batch of architectures in training at once. `auto`: as many as the live workers
    fill, so that no worker waits for another."""
    batch_size: Literal["auto"] | Annotated[int, Ge(1), Le(1000)] = "auto"
    """m: architectures of one replica, which are learnt from together: their rewards make one gradient. `auto`: the
    paper's 8 for REINFORCE, 2 for ActorCritic and PPO, whose value head says what a reward is compared with, 1 for
    algorithms that learn from each result by itself."""
    gradients_per_update: int = Field(default=1, ge=1, le=1000)
    """With REINFORCE and ActorCritic, gradients gathered by the shards, one of each batch, before they apply the mean
    as one update. PPO and Editing make several steps from each batch, each at the parameters that the last one made, so
    that there is nothing to gather: with them it is 1. Algorithms without a policy have no gradients."""
    max_version_lag: int | None = Field(default=None, ge=0, le=100_000)
    """Most updates that may come between the sampling of a batch and the application of its gradient. A small bound can
    make workers wait. No bound by default."""


class Lease(SpecModel):
    """The hold of a worker on the architecture that it trains."""

    duration: Duration = "60s"
    """A lease that its worker has not renewed for this long expires, and its architecture goes to another worker."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """Workers that may be lost with one architecture before it counts as a failed trial."""


class Storage(SpecModel):
    """The volume of the journal, on a cluster."""

    size: Quantity = "2Gi"
    """Size of the volume."""
    storage_class_name: ShortText | None = None
    """Storage class of the volume. The cluster's default when absent."""
    access_mode: Literal["ReadWriteOncePod", "ReadWriteOnce"] | None = None
    """Access mode of the volume. The operator's default, ReadWriteOncePod unless it was installed otherwise, when
    absent. Volumes that no CSI driver makes can only be ReadWriteOnce."""


class Controller(SpecModel):
    """The search's one controller: policy, learner, journal and gRPC service."""

    policy: Policy = Policy()
    """The recurrent policy."""
    algorithm: Algorithm = Algorithm()
    """How the policy learns."""
    parallelism: Parallelism = Parallelism()
    """How many architectures are in training at once and how their gradients are applied."""
    bootstrap: Bootstrap = Bootstrap()
    """Architectures that the search begins with. They cannot be changed once it has begun."""
    duplicates: Literal["Replay", "Train"] = "Replay"
    """What becomes of an architecture that is the same network as one trained before. Replay: it is given the reward of
    that one, costs nothing, and counts as a trial. One whose twin is in training waits for it. Stopped trials are
    replayed too, failed ones are not. Train: it is trained once more with another seed, as in the paper."""
    early_stopping: EarlyStopping = EarlyStopping()
    """Which trials are stopped before their training ends."""
    low_fidelity: LowFidelity = LowFidelity()
    """A cheap first training of every architecture, which decides whether it is trained in full. Off by default."""
    lease: Lease = Lease()
    """The hold of a worker on an architecture."""
    storage: Storage = Storage()
    """The volume of the journal, on a cluster. Immutable there: to enlarge it, resize its PersistentVolumeClaim."""
    image: LongText | None = None
    """Container image of the controller, on a cluster. The operator's own when absent."""
    resources: dict[ResourceName, Quantity] = Field(default={"cpu": "1", "memory": "2Gi"}, max_length=32)
    """What the controller's pod takes, as requests and limits alike."""
    node_selector: dict[ShortText, Annotated[str, Field(max_length=63)]] = Field(default={}, max_length=32)
    """Labels that the controller's node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32)
    """Taints that the controller's pod accepts."""
    priority_class_name: ShortText | None = None
    """Priority class of the controller's pod."""
    ttl_after_finished: Duration = "24h"
    """On a cluster, how long the controller stays after the search has ended, to answer questions about its trials.
    The journal's volume stays after that."""

    @model_validator(mode="after")
    def _gradients_can_be_gathered(self) -> Self:
        if self.parallelism.gradients_per_update > 1 and self.algorithm.type in SEVERAL_STEPS:
            raise ValueError(
                f"parallelism.gradientsPerUpdate must be 1 with algorithm.type {self.algorithm.type}, which makes "
                "several steps from each batch: to learn from more architectures at a time, set parallelism.batchSize"
            )
        return self

    @property
    def batch_size(self) -> int:
        """m: `parallelism.batchSize`, or what `auto` stands for with this algorithm."""
        size = self.parallelism.batch_size
        if size == "auto":
            return {"REINFORCE": 8, "ActorCritic": 2, "PPO": 2}.get(self.algorithm.type, 1)
        return size
