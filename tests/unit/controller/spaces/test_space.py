"""`Space`: decisions that lead to an architecture, and the errors about those that do not."""

from collections.abc import Generator

import pytest
from nas_api.architectures import Architecture, BatchNormalization, ConvNet, Layer
from nas_controller.spaces import Kind, Space, Step
from nas_controller.spaces.space import are_ordered


class Chain(Space):
    """`depth` decisions of three choices and an anchor at the end, all leading to the same network."""

    kinds = (Kind("colour", 3), Kind("anchor", 2, anchor=True))

    def depth(self, sampled: int) -> int:
        return 2

    def walk(self, depth: int) -> Generator[Step, int, Architecture]:
        for _ in range(depth):
            yield Step(0)
        if depth:
            yield Step(1, predecessors=2)
        return ConvNet(layers=(Layer(operation=BatchNormalization()),))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        raise NotImplementedError


def test_a_trace_has_the_step_of_each_decision() -> None:
    steps, architecture = Chain().trace((0, 2, 3), depth=2)

    assert steps == (Step(0), Step(0), Step(1, 2))
    assert architecture == Chain().decode((0, 2, 3), depth=2)


def test_an_architecture_without_decisions_is_decoded_from_none() -> None:
    assert Chain().trace((), depth=0)[0] == ()


@pytest.mark.parametrize(
    ("decisions", "depth", "message"),
    [
        ((0, 3, 0), 2, r"decision 1 \(colour\) is 3, not one of 0..2"),
        ((-1, 0, 0), 2, r"decision 0 \(colour\) is -1, not one of 0..2"),
        ((0, 0, 4), 2, r"decision 2 \(anchor\) is 4, not one of 0..3"),
        ((0, 0), 2, "2 decisions do not make an architecture: anchor is next"),
        ((), 2, "0 decisions do not make an architecture: colour is next"),
        ((0, 0, 0, 0), 2, "4 decisions where 3 make an architecture"),
        ((0,), 0, "1 decisions where 0 make an architecture"),
    ],
)
def test_decisions_that_make_no_architecture_are_refused(decisions: tuple[int, ...], depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Chain().decode(decisions, depth)


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        ((1, 2, 8), True),
        ((0.5, 0.1), True),
        ((1, 8, 2), False),
        ((1, 1.0), False),
        ((True, False), False),
        (("small", "large"), False),
        ((1, "two"), False),
    ],
)
def test_numbers_that_rise_or_fall_are_points_on_a_scale(values: tuple[object, ...], ordered: bool) -> None:
    assert are_ordered(values) is ordered
