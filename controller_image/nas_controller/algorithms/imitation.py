"""`imitate`: fits a policy to given architectures, so that a search goes on from them (`controller.bootstrap`)."""

from collections import deque
from collections.abc import Sequence
from itertools import cycle, islice

import torch

from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal

_LEARNING_RATE = 0.01
_MOST_STEPS = 400
_TOGETHER = 16  # proposals in a step: more take longer, and the fit not fewer steps
# The part of its first surprise at a decision, in nats, at which the fit ends. It makes an architecture of 20 decisions
# of 4 choices a hundred million times more likely, and leaves the policy undecided enough to vary a few of them each
# time.
_SURPRISE_LEFT = 1 / 3


def imitate(policy: LSTMPolicy, proposals: Sequence[Proposal]) -> None:
    """Fits `policy` in place to at least one proposal by maximum likelihood, and stops long before it is certain.

    Every proposal counts the same, however many decisions it takes. Deterministic: there is nothing random in it.
    """
    optimizer = torch.optim.Adam(policy.parameters(), lr=_LEARNING_RATE)
    groups = [proposals[start : start + _TOGETHER] for start in range(0, len(proposals), _TOGETHER)]
    surprises: deque[float] = deque(maxlen=len(groups))  # in the last step with each group
    enough = 0.0
    for group in islice(cycle(groups), _MOST_STEPS):
        decisions = torch.tensor([max(1, len(proposal.decisions)) for proposal in group], dtype=torch.float64)
        surprise = -(policy.evaluate(group).log_probability / decisions).mean()
        enough = enough or _SURPRISE_LEFT * surprise.item()
        surprises.append(surprise.item())
        if len(surprises) == len(groups) and max(surprises) <= enough:
            return
        optimizer.zero_grad()
        surprise.backward()
        optimizer.step()
