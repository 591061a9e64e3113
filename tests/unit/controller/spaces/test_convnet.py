"""`ConvNetSpace`: the order of its decisions, and that decisions and networks say the same."""

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given
from nas_api import spec
from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    Layer,
    MaxPooling,
    parse_architecture,
)
from nas_controller.spaces import ConvNetSpace, Kind, build_space

from tests.unit.controller.spaces.walking import every_architecture, names, walk_at_random

ALL_TYPES = ("Convolution", "MaxPooling", "AveragePooling", "BatchNormalization")


def some(values: st.SearchStrategy[int], most: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(tuple)


specs = st.builds(
    spec.ConvNetSpace,
    layers=st.integers(1, 5).map(lambda most: spec.DepthSchedule(initial=1, increment=1, every=1, max=most)),
    layer_types=st.lists(st.sampled_from(ALL_TYPES), max_size=4, unique=True)
    .filter(lambda types: "Convolution" in types)
    .map(tuple),
    filter_heights=some(st.integers(1, 31)),
    filter_widths=some(st.integers(1, 31)),
    filters=some(st.integers(1, 4096)),
    strides=some(st.integers(1, 8)),
    pool_sizes=some(st.integers(1, 31)),
    pool_strides=some(st.integers(1, 8)),
    skip_connections=st.booleans(),
)


@given(specs, st.integers(1, 5), st.integers(0, 2**32))
def test_every_walk_ends_in_a_valid_network_that_its_decisions_decode_to_and_that_encodes_to_them(
    description: spec.ConvNetSpace, depth: int, seed: int
) -> None:
    space = ConvNetSpace(description)
    depth = min(depth, description.layers.max)
    decisions, network = walk_at_random(space, depth, seed)
    assert isinstance(network, ConvNet)

    assert parse_architecture(network.to_json()) == network
    assert len(network.layers) == depth
    assert space.decode(decisions, depth) == network
    assert space.encode(network) == decisions


@given(specs, st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_a_network_is_in_the_space_in_every_order_in_which_layers_follow_their_inputs(
    description: spec.ConvNetSpace, seed: int, shuffle: random.Random
) -> None:
    space = ConvNetSpace(description)
    depth = description.layers.max
    _, network = walk_at_random(space, depth, seed)
    assert isinstance(network, ConvNet)
    order: list[int] = []
    while len(order) < depth:
        ready = [i for i in range(depth) if i not in order and set(network.layers[i].inputs) <= set(order)]
        order.append(shuffle.choice(ready))
    renumbered = ConvNet(
        layers=tuple(
            Layer(
                operation=network.layers[old].operation,
                inputs=tuple(sorted(order.index(i) for i in network.layers[old].inputs)),
            )
            for old in order
        )
    )

    for drawing in (renumbered, network.canonical()):
        decoded = space.decode(space.encode(drawing), depth)
        assert decoded == drawing
        assert decoded.digest == network.digest


def test_the_default_space_decides_height_width_filters_and_inputs_of_each_layer() -> None:
    space = build_space(spec.SearchSpace())

    assert space.kinds == (
        Kind("filterHeight", 4, ordered=True),
        Kind("filterWidth", 4, ordered=True),
        Kind("filters", 4, ordered=True),
        Kind("anchor", 19, anchor=True),
    )
    decisions, _ = walk_at_random(space, 2, 0)
    assert names(space, decisions, 2) == ["filterHeight", "filterWidth", "filters", "anchor"] * 2


def test_strides_are_decided_when_there_is_more_than_one() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(strides=(1, 2, 3), skip_connections=False))

    decisions, _ = walk_at_random(space, 1, 0)
    assert names(space, decisions, 1) == ["filterHeight", "filterWidth", "strideHeight", "strideWidth", "filters"]


def test_a_single_choice_is_no_decision() -> None:
    space = ConvNetSpace(
        spec.ConvNetSpace(filter_heights=(3,), filter_widths=(5,), filters=(8,), strides=(2,), skip_connections=False)
    )

    assert space.kinds == ()
    assert space.decode((), depth=2) == ConvNet(
        layers=tuple(
            Layer(
                operation=Convolution(filter_height=3, filter_width=5, filters=8, stride_height=2, stride_width=2),
                inputs=inputs,
            )
            for inputs in ((), (0,))
        )
    )


def test_the_type_of_a_layer_comes_first_and_decides_what_follows() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(layer_types=ALL_TYPES, pool_strides=(1, 2)))

    network = space.decode(
        (
            *(0, 1, 2, 3, 0),  # a convolution of height 3, width 5, 64 filters, on the image
            *(1, 0, 1, 0b1),  # a maximum over 2x2, stride 2, of layer 0
            *(2, 1, 0, 0b00),  # a mean over 3x3, stride 1, of the image
            *(3, 0b101),  # a batch normalisation of layers 0 and 2
        ),
        depth=4,
    )

    assert network == ConvNet(
        layers=(
            Layer(operation=Convolution(filter_height=3, filter_width=5, filters=64)),
            Layer(operation=MaxPooling(size=2, stride=2), inputs=(0,)),
            Layer(operation=AveragePooling(size=3, stride=1)),
            Layer(operation=BatchNormalization(), inputs=(0, 2)),
        )
    )


def test_a_space_without_skip_connections_makes_chains() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(skip_connections=False))

    network = space.decode((0, 0, 0) * 3, depth=3)

    assert [layer.inputs for layer in network.layers] == [(), (0,), (1,)]


def test_an_anchor_of_the_deepest_network_can_take_all_layers_before_it() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(layers=spec.DepthSchedule(initial=100, max=100)))
    everything = [decision for layer in range(100) for decision in (0, 0, 0, 2**layer - 1)]

    network = space.decode(everything, depth=100)

    assert network.layers[99].inputs == tuple(range(99))
    assert space.encode(network) == tuple(everything)


def test_depth_follows_the_schedule() -> None:
    space = build_space(spec.SearchSpace())

    assert [space.depth(sampled) for sampled in (0, 1599, 1600, 3200, 1_000_000)] == [6, 6, 8, 10, 20]


@pytest.mark.parametrize("depth", [0, -1, 21])
def test_a_depth_outside_the_space_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"a network of {depth} layers is not in the space: layers.max is 20"):
        build_space(spec.SearchSpace()).decode((), depth)


CONVOLUTION = Convolution(filter_height=3, filter_width=3, filters=24)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Layer(operation=CONVOLUTION.model_copy(update={"filter_height": 9})), "filterHeight is 9, not one of 1, 3"),
        (Layer(operation=CONVOLUTION.model_copy(update={"filters": 25})), "filters is 25, not one of 24, 36, 48, 64"),
        (Layer(operation=CONVOLUTION.model_copy(update={"stride_width": 2})), "strideWidth is 2, not one of 1"),
        (Layer(operation=MaxPooling(size=5, stride=2)), "poolSize is 5, not one of 2, 3"),
        (Layer(operation=MaxPooling(size=3, stride=1)), "poolStride is 1, not one of 2"),
        (Layer(operation=BatchNormalization()), "layerType is BatchNormalization, not one of Convolution, MaxPooling"),
        (Layer(operation=CONVOLUTION), r"inputs is \[\], not \[0\], the layer before: the space has no skip"),
    ],
)
def test_a_network_outside_the_space_is_refused_by_layer_and_field(layer: Layer, message: str) -> None:
    space = ConvNetSpace(spec.ConvNetSpace(layer_types=("Convolution", "MaxPooling"), skip_connections=False))

    with pytest.raises(ValueError, match=f"layer 1: {message}"):
        space.encode(ConvNet(layers=(Layer(operation=CONVOLUTION), layer)))


def test_a_network_that_is_too_deep_is_refused() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(layers=spec.DepthSchedule(initial=1, max=2)))

    with pytest.raises(ValueError, match=r"the network has 3 layers, and layers\.max is 2"):
        space.encode(ConvNet(layers=(Layer(operation=CONVOLUTION),) * 3))


def test_networks_of_a_space_can_be_counted_and_drawn_like_any_other() -> None:
    """They are built without validation, which must not be seen from outside."""
    space = build_space(spec.SearchSpace())
    network = space.decode((1, 1, 0, 0), depth=1)
    built = ConvNet(layers=(Layer(operation=CONVOLUTION),))

    assert network == built
    assert hash(network) == hash(built)
    assert network.to_json() == built.to_json()
    assert network.count_parameters(ImageShape(3, 8, 8), 10) == built.count_parameters(ImageShape(3, 8, 8), 10)


def test_its_size_is_the_number_of_its_sequences_of_decisions() -> None:
    description = spec.ConvNetSpace(
        layers=spec.DepthSchedule(initial=2, max=2), layer_types=ALL_TYPES, filter_heights=(1, 3), filter_widths=(1,),
        filters=(4, 8, 16), strides=(1, 2), skip_connections=False,
    )  # fmt: skip
    assert description.size(2) == len(list(every_architecture(ConvNetSpace(description), 2)))
    # An anchor at layer i has a bit for each of the layers before it.
    assert description.model_copy(update={"skip_connections": True}).size(4) == description.size(4) * 2 ** (1 + 2 + 3)
