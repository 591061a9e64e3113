"""`Algorithm`: the one interface behind which a search proposes architectures and learns from their rewards."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nas_controller.history import History
from nas_controller.jobs import Statistics
from nas_controller.proposal import Proposal, Rewarded


class Algorithm(ABC):
    """Proposes architectures and learns from their rewards.

    An algorithm is a deterministic state machine: the same calls with the same arguments give the same results, bit
    for bit, also when it was restored from `snapshot` and `state` in between. It is owned by one thread.

    `snapshot` is the part that proposals are made from and that a gradient is computed at (the policy's parameters, in
    one vector); `state` is all the rest that an update reads and writes (optimizer moments, baseline, ...). Both are
    stored with every update. An algorithm whose proposals depend on those before keeps neither, but says that it
    `uses_history`: then all that it knows is a function of the history, that is of what was learnt, in order, and of
    what was recorded and is not learnt yet. How these two came in between each other must not count: it is not stored.
    """

    uses_history = False
    """Whether `restore` needs the history. It takes seconds to read that of a large search."""

    @abstractmethod
    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """`count` candidates of the given depth, from the newest snapshot and with a generator seeded by `seed`.

        Some of them may break the constraints of the space, so a call changes nothing: `recorded` says what was taken.
        """

    def recorded(self, proposals: Sequence[Proposal]) -> None:
        """Takes note that these of the candidates will be trained. Each will be learnt once, in whatever order."""
        del proposals  # a policy forgets them

    def imitate(self, proposals: Sequence[Proposal]) -> None:
        """Before anything is learnt: makes these more likely. Without a policy to fit it does nothing."""
        del proposals  # a history has them as soon as they are recorded

    @abstractmethod
    def learn(self, snapshot: Tensor, batch: Sequence[Rewarded]) -> Statistics:
        """Learns from one batch, whose proposals were all made from `snapshot`, which may be older than the newest."""

    def snapshot(self) -> Tensor:
        """A copy of the newest parameters, shape [parameters], float32."""
        return torch.empty(0)

    def state(self) -> dict[str, Tensor]:
        """A copy of everything else that `learn` depends on."""
        return {}

    def restore(self, snapshot: Tensor, state: Mapping[str, Tensor], history: History) -> None:
        """Puts back what `snapshot()` and `state()` gave, and the history if this algorithm uses it.

        Raises:
            ValueError: they are of another algorithm, space or size.
        """
        del history
        if snapshot.numel() or state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given one: it is of another algorithm")
