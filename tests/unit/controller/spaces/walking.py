"""Ways through a space: one at random, and all of them."""

import random
from collections.abc import Iterator

from nas_api.architectures import Architecture
from nas_controller.spaces import Space


def walk_at_random(space: Space, depth: int, seed: int) -> tuple[tuple[int, ...], Architecture]:
    """The decisions that were made, and what they led to."""
    generator = random.Random(seed)
    decisions: list[int] = []
    walk = space.walk(depth)
    try:
        step = next(walk)
        while True:
            kind = space.kinds[step.kind]
            assert step.predecessors <= kind.choices if kind.anchor else step.predecessors == 0
            decisions.append(generator.randrange(2**step.predecessors if kind.anchor else kind.choices))
            step = walk.send(decisions[-1])
    except StopIteration as stop:
        return tuple(decisions), stop.value


def names(space: Space, decisions: tuple[int, ...], depth: int) -> list[str]:
    """The kinds of the decisions."""
    return [space.kinds[step.kind].name for step in space.trace(decisions, depth)[0]]


def every_architecture(space: Space, depth: int, prefix: tuple[int, ...] = ()) -> Iterator[Architecture]:
    """All that a space has, without anchors."""
    walk = space.walk(depth)
    try:
        step = next(walk)
        for decision in prefix:
            step = walk.send(decision)
    except StopIteration as stop:
        yield stop.value
        return
    for decision in range(space.kinds[step.kind].choices):
        yield from every_architecture(space, depth, (*prefix, decision))
