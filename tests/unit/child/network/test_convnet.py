"""The network that is built is the network that the architecture describes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    Layer,
    MaxPooling,
)
from nas_child.network import ConvolutionalNetwork
from torch.utils.flop_counter import FlopCounterMode

torch.set_num_threads(1)

sizes = st.integers(1, 7)
strides = st.integers(1, 3)
operations = st.one_of(
    st.builds(  # hypothesis reads the signature, which has the names of the manifest
        Convolution, filterHeight=sizes, filterWidth=sizes, filters=st.integers(1, 6),
        strideHeight=strides, strideWidth=strides,
    ),
    st.builds(MaxPooling, size=sizes, stride=strides),
    st.builds(AveragePooling, size=sizes, stride=strides),
    st.builds(BatchNormalization),
)  # fmt: skip
images = st.builds(ImageShape, st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))


@st.composite
def networks(draw: st.DrawFn) -> ConvNet:
    depth = draw(st.integers(1, 6))
    return ConvNet(
        layers=tuple(
            Layer(operation=draw(operations), inputs=tuple(i for i in range(index) if draw(st.booleans())))
            for index in range(depth)
        )
    )


@given(networks(), images, st.integers(2, 5))
@settings(max_examples=100, deadline=None)
def test_parameters_flops_and_shapes_are_those_that_the_architecture_counts(
    architecture: ConvNet, image: ImageShape, classes: int
) -> None:
    network = ConvolutionalNetwork(architecture, image, classes).eval()
    left: list[ImageShape] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda module, args, output: left.append(ImageShape(*output.shape[1:])))
    with FlopCounterMode(display=False) as flops, torch.inference_mode():
        scores = network(torch.randn(1, *image))

    assert scores.shape == (1, classes)
    assert torch.isfinite(scores).all()
    assert left == [leaving for _, leaving in architecture.shapes(image)]
    assert sum(p.numel() for p in network.parameters()) == architecture.count_parameters(image, classes)
    assert flops.get_total_flops() == architecture.count_flops(image, classes)


def conv(filters: int = 2, size: int = 3, stride: int = 1, inputs: tuple[int, ...] = ()) -> Layer:
    return Layer(
        operation=Convolution(
            filter_height=size, filter_width=size, filters=filters, stride_height=stride, stride_width=stride
        ),
        inputs=inputs,
    )


IMAGE = ImageShape(3, 8, 8)


def test_a_layer_without_inputs_takes_the_image() -> None:
    network = ConvolutionalNetwork(ConvNet(layers=(conv(), conv())), IMAGE, 10)
    entered: list[torch.Tensor] = []
    for layer in network.layers:
        layer.register_forward_pre_hook(lambda module, args: entered.append(args[0]))
    batch = torch.randn(2, *IMAGE)
    network(batch)
    assert all(torch.equal(x, batch) for x in entered)


def test_outputs_that_no_layer_takes_are_concatenated_for_the_classifier() -> None:
    architecture = ConvNet(layers=(conv(filters=2), conv(filters=3, inputs=(0,)), conv(filters=4)))
    network = ConvolutionalNetwork(architecture, IMAGE, 10)
    outputs: list[torch.Tensor] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda module, args, output: outputs.append(output))
    scores = network(torch.randn(2, *IMAGE))
    features = torch.cat([outputs[1].mean(dim=(2, 3)), outputs[2].mean(dim=(2, 3))], dim=1)
    assert torch.allclose(scores, network.classifier(features), atol=1e-6)


def test_inputs_of_different_sizes_are_centred_in_zeros_and_concatenated_in_depth() -> None:
    architecture = ConvNet(layers=(conv(filters=2), conv(filters=3, stride=2), conv(inputs=(0, 1))))
    network = ConvolutionalNetwork(architecture, IMAGE, 10).eval()
    outputs: list[torch.Tensor] = []
    entered: list[torch.Tensor] = []
    for layer in network.layers:
        layer.register_forward_pre_hook(lambda module, args: entered.append(args[0]))
        layer.register_forward_hook(lambda module, args, output: outputs.append(output))
    network(torch.randn(2, *IMAGE))
    large, small = outputs[0], outputs[1]
    assert small.shape == (2, 3, 4, 4)
    assert torch.equal(entered[2][:, :2], large)
    assert torch.equal(entered[2][:, 2:, 2:6, 2:6], small)
    assert entered[2][:, 2:].count_nonzero() == small.count_nonzero()  # nothing but zeros around


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7])
def test_convolutions_pad_like_pytorch_pads_same(size: int) -> None:
    network = ConvolutionalNetwork(ConvNet(layers=(conv(size=size),)), IMAGE, 10)
    ours = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    same = torch.nn.Conv2d(3, 2, size, padding="same", bias=False)
    same.weight = ours.weight
    layer = network.layers[0]
    assert isinstance(layer, torch.nn.Sequential)
    batch = torch.randn(2, *IMAGE)
    x = batch
    for module in layer[: list(layer).index(ours) + 1]:
        x = module(x)
    assert torch.allclose(x, same(batch), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pooling_sees_no_padding(size: int, stride: int) -> None:
    """Neither the maximum nor the mean of a window knows of pixels outside the image."""
    image = torch.randn(1, 1, 7, 5) - 10  # far below the zeros of a padding
    maximum, mean = (
        ConvolutionalNetwork(ConvNet(layers=(Layer(operation=kind(size=size, stride=stride)),)), ImageShape(1, 7, 5), 2)
        for kind in (MaxPooling, AveragePooling)
    )
    largest, average = maximum.layers[0](image), mean.layers[0](image)
    for row in range(largest.shape[2]):
        for column in range(largest.shape[3]):
            top, left = row * stride - (size - 1) // 2, column * stride - (size - 1) // 2
            window = image[0, 0, max(top, 0) : top + size, max(left, 0) : left + size]
            assert largest[0, 0, row, column] == window.max()
            assert average[0, 0, row, column] == pytest.approx(window.mean().item(), rel=1e-5)


def every_kind_of_layer() -> ConvNet:
    return ConvNet(
        layers=(
            conv(filters=4, size=4, stride=2),
            Layer(operation=MaxPooling(size=2, stride=2)),
            Layer(operation=AveragePooling(size=2, stride=1), inputs=(0,)),
            Layer(operation=BatchNormalization(), inputs=(0, 1, 2)),
            conv(filters=3, inputs=(0, 3)),
        )
    )


def test_the_network_traces_to_the_same_outputs() -> None:
    """`torch.export` is the way to ONNX and to `torch.compile`: no part of the network may escape it."""
    network = ConvolutionalNetwork(every_kind_of_layer(), IMAGE, 10).eval()
    batch = torch.randn(3, *IMAGE)
    batch_size = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(network, (batch,), dynamic_shapes=({0: batch_size},))
    with torch.inference_mode():
        assert torch.allclose(exported.module()(batch), network(batch), atol=1e-6)
        assert exported.module()(torch.randn(7, *IMAGE)).shape == (7, 10)
