"""`RandomSearch`: the control experiment. It proposes at random and learns nothing."""

import random
from collections.abc import Sequence

from torch import Tensor

from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.jobs import Statistics
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces import Space
from nas_controller.spaces.neighbors import random_proposal


class RandomSearch(Algorithm):
    """Uniform random search.

    Every decision is uniform over its choices, whatever was decided before; an anchor takes each earlier layer with
    probability 1/2. This is what a policy with all weights zero does. It is not uniform over architectures: layer types
    with many choices of their own get no more draws than those with few, and the same network can be drawn in several
    orders of its layers.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """`count` independent draws."""
        generator = random.Random(seed)  # noqa: S311  # not for security
        return [random_proposal(self._space, depth, generator) for _ in range(count)]

    def learn(self, snapshot: Tensor, batch: Sequence[Rewarded]) -> Statistics:
        """Learns nothing."""
        del snapshot, batch
        return Statistics()
