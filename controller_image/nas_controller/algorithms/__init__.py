"""Algorithms: what proposes architectures and learns from their rewards."""

from nas_api import spec

from nas_controller.algorithms.actor_critic import ActorCritic
from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.algorithms.editing import Editing
from nas_controller.algorithms.local_search import LocalSearch
from nas_controller.algorithms.ppo import PPO
from nas_controller.algorithms.random_search import RandomSearch
from nas_controller.algorithms.regularized_evolution import RegularizedEvolution
from nas_controller.algorithms.reinforce import Reinforce
from nas_controller.spaces import Space


def build_algorithm(controller: spec.Controller, space: Space, seed: int) -> Algorithm:
    """The algorithm that a manifest's `controller` describes. `seed` decides the policy's first weights."""
    match controller.algorithm.type:
        case "REINFORCE":
            return Reinforce(space, controller, seed)
        case "Random":
            return RandomSearch(space)
        case "ActorCritic":
            return ActorCritic(space, controller, seed)
        case "PPO":
            return PPO(space, controller, seed)
        case "RegularizedEvolution":
            return RegularizedEvolution(space, controller)
        case "Editing":
            return Editing(space, controller, seed)
        case "LocalSearch":
            return LocalSearch(space, controller)


__all__ = [
    "PPO",
    "ActorCritic",
    "Algorithm",
    "Editing",
    "LocalSearch",
    "RandomSearch",
    "RegularizedEvolution",
    "Reinforce",
    "build_algorithm",
]
