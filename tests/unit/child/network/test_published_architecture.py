"""The paper's own network for CIFAR-10 has, built here, the size that the paper gives.

Figure 7 of the paper draws the best convolutional network found without strides and pooling: 15 layers, 4.2M
parameters, 5.50 % test error (table 1). The rows below are a reading of that figure; the arrows of the drawing were
transcribed by hand, so single connections may be wrong. Three things are shown: the reading has 4.2M parameters, every
layer of it lies in the default search space, and the size comes from large filters and many connections, since
networks that an untrained policy proposes (half of all connections) are far smaller.

Not reproduced: the test error, which needs the full training on CIFAR-10; the 20- and the 39-layer networks of table 1,
whose layers the paper does not print.
"""

import random
import statistics

from nas_api.architectures import ConvNet, Convolution, ImageShape, Layer
from nas_api.spec.search_space import ConvNetSpace
from nas_child.network import ConvolutionalNetwork

CIFAR10 = ImageShape(3, 32, 32)

# Filter height, filter width, filters, and the layers that enter, counted from 1 as in the figure.
FIGURE_7: list[tuple[int, int, int, tuple[int, ...]]] = [
    (3, 3, 36, ()),
    (3, 3, 48, (1,)),
    (3, 3, 36, (1, 2)),
    (5, 5, 36, (1, 2, 3)),
    (3, 7, 48, (3, 4)),
    (7, 7, 48, (2, 3, 4, 5)),
    (7, 7, 48, (2, 3, 4, 5, 6)),
    (7, 3, 36, (1, 6, 7)),
    (7, 1, 36, (1, 5, 6, 8)),
    (7, 7, 36, (1, 3, 4, 5, 6, 7, 8, 9)),
    (5, 7, 36, (1, 2, 5, 6, 7, 8, 9, 10)),
    (7, 7, 48, (1, 2, 3, 4, 6, 11)),
    (7, 5, 48, (1, 3, 6, 7, 8, 9, 10, 11, 12)),
    (7, 5, 48, (3, 7, 12, 13)),
    (7, 5, 48, (6, 7, 11, 12, 13, 14)),
]


def figure_7() -> ConvNet:
    return ConvNet(
        layers=tuple(
            Layer(
                operation=Convolution(filter_height=height, filter_width=width, filters=filters),
                inputs=tuple(i - 1 for i in inputs),
            )
            for height, width, filters, inputs in FIGURE_7
        )
    )


def random_network(generator: random.Random, density: float) -> ConvNet:
    space = ConvNetSpace()
    return ConvNet(
        layers=tuple(
            Layer(
                operation=Convolution(
                    filter_height=generator.choice(space.filter_heights),
                    filter_width=generator.choice(space.filter_widths),
                    filters=generator.choice(space.filters),
                ),
                inputs=tuple(j for j in range(index) if generator.random() < density),
            )
            for index in range(15)
        )
    )


def test_the_network_of_figure_7_has_4_2_million_parameters() -> None:
    network = ConvolutionalNetwork(figure_7(), CIFAR10, classes=10)
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == figure_7().count_parameters(CIFAR10, 10) == 4_201_630
    assert f"{parameters / 1e6:.1f}M" == "4.2M"


def test_the_network_of_figure_7_lies_in_the_default_search_space() -> None:
    space = ConvNetSpace()
    assert len(FIGURE_7) <= space.layers.max
    for height, width, filters, _ in FIGURE_7:
        assert height in space.filter_heights
        assert width in space.filter_widths
        assert filters in space.filters


def test_networks_of_an_untrained_policy_are_smaller() -> None:
    """At 15 layers and half of the connections the mean is about 1.5M; with all connections it is still below 4.2M."""
    generator = random.Random(0)
    mean = {
        density: statistics.mean(random_network(generator, density).count_parameters(CIFAR10, 10) for _ in range(200))
        for density in (0.5, 1.0)
    }
    assert 1.3e6 < mean[0.5] < 1.8e6
    assert 2.8e6 < mean[1.0] < 3.4e6
