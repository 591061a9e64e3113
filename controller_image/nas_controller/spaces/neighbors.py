"""Neighbours of a proposal: what differs from it in one decision. Random proposals, too: those that keep nothing."""

import random
from collections import deque
from collections.abc import Iterator, Sequence

from nas_controller.proposal import Proposal
from nas_controller.spaces.space import Space, Step

Decided = tuple[Step, int]
"""A step and what was decided there."""

_REACH = 12
"""Decisions that may be left out or drawn anew between two stretches that are kept."""


def random_proposal(space: Space, depth: int, generator: random.Random) -> Proposal:
    """Every decision uniform over its choices, whatever was decided before. A bit of an anchor is set with p = 1/2."""
    return fit(space, depth, (), (), generator)


def neighbors(space: Space, proposal: Proposal) -> Iterator[Proposal]:
    """All proposals that differ from `proposal` in one decision, or in one bit of an anchor, first decisions first.

    Where a decision changes which decisions come after it, those that still fit are kept, and the others are drawn:
    always the same for a proposal and its edit.
    """
    steps, _ = space.trace(proposal.decisions, proposal.depth)
    for at, step in enumerate(steps):
        for other in alternatives(space, step, proposal.decisions[at]):
            yield edited(space, proposal, at, other)


def count_neighbors(space: Space, proposal: Proposal) -> int:
    """How many `neighbors` there are, without making them."""
    steps, _ = space.trace(proposal.decisions, proposal.depth)
    return sum(len(alternatives(space, step, made)) for step, made in zip(steps, proposal.decisions, strict=True))


def mutation(space: Space, proposal: Proposal, generator: random.Random) -> Proposal:
    """A random neighbour: a decision is drawn that has a choice, then another choice for it.

    A proposal without any neighbour is its own.
    """
    steps, _ = space.trace(proposal.decisions, proposal.depth)
    open_to_choice = [at for at, step in enumerate(steps) if space.choices(step) > 1]
    if not open_to_choice:
        return proposal
    at = generator.choice(open_to_choice)
    return edited(space, proposal, at, generator.choice(alternatives(space, steps[at], proposal.decisions[at])))


def alternatives(space: Space, step: Step, decision: int) -> list[int]:
    """The other choices at a step; of an anchor the masks that differ in one bit."""
    if space.kinds[step.kind].anchor:
        return [decision ^ 1 << bit for bit in range(step.predecessors)]
    return [choice for choice in range(space.choices(step)) if choice != decision]


def edited(space: Space, proposal: Proposal, at: int, decision: int) -> Proposal:
    """`proposal` with another decision number `at`; edit the result once more for two changes.

    The decisions after it that still fit are kept, the others are drawn by a generator that the edit seeds.

    Raises:
        ValueError: `proposal` is not of this space, or `decision` is none of the choices there.
    """
    steps, _ = space.trace(proposal.decisions, proposal.depth)
    if not 0 <= decision < space.choices(steps[at]):
        raise ValueError(f"decision {at} cannot be {decision}: it is one of 0..{space.choices(steps[at]) - 1}")
    kept = list(zip(steps, proposal.decisions, strict=True))[at + 1 :]
    seed = f"{proposal.depth} {proposal.decisions} {at} {decision}"
    made = (*proposal.decisions[:at], decision)
    return fit(space, proposal.depth, made, kept, random.Random(seed))  # noqa: S311 - not for security


def fit(space: Space, depth: int, made: Sequence[int], wanted: Sequence[Decided], generator: random.Random) -> Proposal:
    """A proposal that begins with the decisions `made` and then follows `wanted` as far as the space allows.

    Where another step comes than is wanted, the smallest gap is bridged after which all of the rest fits: decisions
    drawn, and decisions of `wanted` left out. Without such a gap one decision is drawn, and so on.

    Raises:
        ValueError: `made` are not the first decisions of an architecture.
    """
    decisions: list[int] = []
    rest = deque(wanted)
    walk = space.walk(depth)
    try:
        step = next(walk)
        for decision in made:
            decisions.append(decision)
            step = walk.send(decision)
        while True:
            if not rest:
                rest.append((step, generator.randrange(space.choices(step))))
            elif rest[0][0] != step:
                rest = deque(_bridge(space, depth, decisions, step, list(rest), generator))
            decisions.append(rest.popleft()[1])
            step = walk.send(decisions[-1])
    except StopIteration:
        if len(decisions) < len(made):
            raise ValueError(f"{len(made)} decisions where {len(decisions)} make an architecture") from None
        return Proposal(tuple(decisions), depth)


def _bridge(
    space: Space, depth: int, decisions: list[int], step: Step, rest: list[Decided], generator: random.Random
) -> list[Decided]:
    """What to decide at `step` and after it, so that as much of `rest` as possible is kept."""
    drawn: list[Decided] = []
    following: Step | None = step
    for size in range(1, _REACH + 1):
        if following is not None:
            drawn.append((following, generator.randrange(space.choices(following))))
            following = _step_after(space, depth, [*decisions, *(decision for _, decision in drawn)])
        for left_out in range(min(size, len(rest)) + 1):
            bridged = drawn[: size - left_out] + rest[left_out:]
            if _fits(space, depth, decisions, bridged):
                return bridged
    return drawn[:1] + rest


def _step_after(space: Space, depth: int, decisions: list[int]) -> Step | None:
    """The step after `decisions`. None: they make an architecture."""
    walk = space.walk(depth)
    try:
        step = next(walk)
        for decision in decisions:
            step = walk.send(decision)
    except StopIteration:
        return None
    return step


def _fits(space: Space, depth: int, decisions: list[int], bridged: list[Decided]) -> bool:
    """Whether the space asks just for these steps after `decisions`."""
    try:
        steps, _ = space.trace([*decisions, *(decision for _, decision in bridged)], depth)
    except ValueError:
        return False
    return steps[len(decisions) :] == tuple(step for step, _ in bridged)
