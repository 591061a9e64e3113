"""An architecture is drawn as a graph with all of its layers and all of its connections."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    Layer,
    MaxPooling,
)
from nas_cli.drawing.convnet import draw_convnet

OPERATIONS = (
    Convolution(filter_height=3, filter_width=5, filters=48),
    Convolution(filter_height=1, filter_width=7, filters=24, stride_height=2),
    MaxPooling(size=2, stride=2),
    AveragePooling(size=3, stride=1),
    BatchNormalization(),
)


@st.composite
def networks(draw: st.DrawFn) -> ConvNet:
    depth = draw(st.integers(1, 25))
    return ConvNet(
        layers=tuple(
            Layer(
                operation=draw(st.sampled_from(OPERATIONS)),
                inputs=tuple(i for i in range(index) if draw(st.booleans())),
            )
            for index in range(depth)
        )
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@given(networks())
@settings(deadline=None, max_examples=30)
def test_every_layer_is_a_box_and_every_connection_an_arrow(network: ConvNet) -> None:
    figure = draw_convnet(network, "digits: trial 7")
    patches = figure.axes[0].patches
    assert sum(isinstance(patch, FancyBboxPatch) for patch in patches) == len(network.layers) + 2
    connections = sum(len(layer.inputs) or 1 for layer in network.layers) + len(network.loose_ends)
    assert sum(isinstance(patch, FancyArrowPatch) for patch in patches) == connections
    assert figure.get_size_inches()[0] == 8


@given(networks())
@settings(deadline=None, max_examples=30)
def test_nothing_reaches_beyond_the_picture(network: ConvNet) -> None:
    figure = draw_convnet(network, "digits: trial 7", ImageShape(3, 32, 32), 10)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for patch in axes.patches:
        path = patch.get_path().transformed(patch.get_transform()).transformed(axes.transData.inverted())
        box = path.get_extents()
        assert axes.get_xlim()[0] <= box.x0 <= box.x1 <= axes.get_xlim()[1]


def test_boxes_say_what_a_layer_is_and_how_large_its_output_is() -> None:
    network = ConvNet(
        layers=(
            Layer(operation=OPERATIONS[0]),
            Layer(operation=OPERATIONS[1], inputs=(0,)),
            Layer(operation=OPERATIONS[2], inputs=(0, 1)),
        )
    )
    figure = draw_convnet(network, "digits: trial 7, reward 0.9", ImageShape(3, 32, 32), 10)
    assert figure.axes[0].get_title() == "digits: trial 7, reward 0.9"
    shown = texts(figure)
    for expected in (
        "image", "3x32x32", "3x5 conv, 48 filters", "48x32x32", "1x7 conv, 24 filters, stride 2x1", "24x16x32",
        "2x2 max pooling, stride 2", "72x16x16", "72 features to 10 classes",
    ):  # fmt: skip
        assert expected in shown


def test_without_the_shape_of_the_data_only_layers_are_named() -> None:
    shown = texts(draw_convnet(ConvNet(layers=(Layer(operation=OPERATIONS[0]),)), "trial"))
    assert "3x5 conv, 48 filters" in shown
    assert not any("32x32" in text for text in shown)


def test_it_can_be_saved_as_png_and_svg() -> None:
    figure = draw_convnet(ConvNet(layers=(Layer(operation=OPERATIONS[0]),)), "trial")
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png")
    figure.savefig(svg, format="svg")
    assert png.getvalue().startswith(b"\x89PNG")
    assert b"<svg" in svg.getvalue()
