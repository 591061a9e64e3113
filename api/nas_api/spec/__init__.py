"""Models of the manifest: one module for each section of `NASSearch`, and `NASPool`."""

from nas_api.spec.bootstrap import Bootstrap, BootstrapArchitecture
from nas_api.spec.budget import Budget
from nas_api.spec.controller import (
    PPO,
    ActorCritic,
    Algorithm,
    Controller,
    Editing,
    Lease,
    LocalSearch,
    Parallelism,
    Policy,
    RegularizedEvolution,
    Reinforce,
    Storage,
)
from nas_api.spec.discrete_space import Choice, ChoiceOrRepeat, DiscreteSpace
from nas_api.spec.early_stopping import ASHA, CurveExtrapolation, EarlyStopping, MedianStopping
from nas_api.spec.final_training import FinalTraining, Grid
from nas_api.spec.low_fidelity import LowFidelity
from nas_api.spec.naspool import NASPool, NASPoolSpec
from nas_api.spec.nassearch import NASSearch, NASSearchSpec
from nas_api.spec.pool import Pool, Toleration
from nas_api.spec.reward import FailedTrial, Reward
from nas_api.spec.search_space import Constraints, ConvNetSpace, DepthSchedule, RecurrentCellSpace, SearchSpace
from nas_api.spec.status import (
    Condition,
    FinalTrainingStatus,
    NASPoolStatus,
    NASSearchStatus,
    TrialCounts,
    TrialSummary,
    WorkerCounts,
)
from nas_api.spec.trainer import Dataset, Egress, Optimizer, Trainer, Volume

__all__ = [
    "NASSearch",
    "NASSearchSpec",
    "NASPool",
    "NASPoolSpec",
    "SearchSpace",
    "ConvNetSpace",
    "DepthSchedule",
    "Constraints",
    "RecurrentCellSpace",
    "DiscreteSpace",
    "Choice",
    "ChoiceOrRepeat",
    "Controller",
    "Policy",
    "Algorithm",
    "Reinforce",
    "ActorCritic",
    "PPO",
    "RegularizedEvolution",
    "Editing",
    "LocalSearch",
    "Parallelism",
    "Bootstrap",
    "BootstrapArchitecture",
    "EarlyStopping",
    "FinalTraining",
    "Grid",
    "LowFidelity",
    "MedianStopping",
    "ASHA",
    "CurveExtrapolation",
    "Lease",
    "Storage",
    "Trainer",
    "Optimizer",
    "Dataset",
    "Volume",
    "Egress",
    "Reward",
    "FailedTrial",
    "Pool",
    "Toleration",
    "Budget",
    "NASSearchStatus",
    "NASPoolStatus",
    "Condition",
    "TrialCounts",
    "TrialSummary",
    "FinalTrainingStatus",
    "WorkerCounts",
]
