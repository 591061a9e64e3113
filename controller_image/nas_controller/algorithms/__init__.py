"""Algorithms: what proposes architectures and learns from their rewards."""

from nas_api import spec

from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.algorithms.random_search import RandomSearch
from nas_controller.algorithms.reinforce import Reinforce
from nas_controller.spaces import Space


def build_algorithm(controller: spec.Controller, space: Space, seed: int) -> Algorithm:
    """The algorithm that a manifest's `controller` describes. `seed` decides the policy's first weights."""
    match controller.algorithm.type:
        case "REINFORCE":
            return Reinforce(space, controller, seed)
        case "Random":
            return RandomSearch(space)
        case other:
            raise ValueError(f"controller.algorithm.type: {other} is not there yet")


__all__ = ["Algorithm", "RandomSearch", "Reinforce", "build_algorithm"]
