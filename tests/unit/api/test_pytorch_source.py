"""The PyTorch code of an architecture: the network of the search, as a person would write it, from PyTorch alone."""

import runpy
import subprocess
import sys
import textwrap
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

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
from nas_api.architectures.pytorch_source import Standardization, write_source
from nas_child.network import ConvolutionalNetwork
from nas_cli.exporting.exported import load_network, renamed_weights
from torch import nn

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
IMAGE = ImageShape(3, 8, 8)


@st.composite
def networks(draw: st.DrawFn, most_layers: int = 7) -> ConvNet:
    depth = draw(st.integers(1, most_layers))
    return ConvNet(
        layers=tuple(
            Layer(operation=draw(operations), inputs=tuple(i for i in range(index) if draw(st.booleans())))
            for index in range(depth)
        )
    )


def convolution(filters: int = 4, inputs: tuple[int, ...] = (), height: int = 3, width: int = 3) -> Layer:
    operation = Convolution(filter_height=height, filter_width=width, filters=filters)
    return Layer(operation=operation, inputs=inputs)


def exported(architecture: ConvNet, image: ImageShape, classes: int, directory: Path) -> tuple[nn.Module, nn.Module]:
    """Our network with weights and statistics of a trained one, and the exported one with the same, both in float64."""
    torch.manual_seed(0)
    ours = ConvolutionalNetwork(architecture, image, classes)
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    source = directory / "model.py"
    source.write_text(write_source(architecture, image, classes, "A network", None))
    theirs = load_network(source)
    theirs.load_state_dict(renamed_weights(ours, theirs))
    return ours.double().eval(), theirs.double().eval()


@given(networks(), images, images, st.integers(2, 5))
@settings(max_examples=100, deadline=None)
def test_gives_the_same_outputs_also_for_images_of_another_size(
    tmp_path_factory: pytest.TempPathFactory, architecture: ConvNet, image: ImageShape, other: ImageShape, classes: int
) -> None:
    ours, theirs = exported(architecture, image, classes, tmp_path_factory.mktemp("export"))
    for height, width in (image[1:], other[1:]):
        pixels = torch.randn(2, image.channels, height, width, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(theirs(pixels), ours(pixels), rtol=1e-9, atol=1e-9)


@given(networks(most_layers=3), images)
@settings(max_examples=15, deadline=None)
def test_learns_the_same_way(
    tmp_path_factory: pytest.TempPathFactory, architecture: ConvNet, image: ImageShape
) -> None:
    ours, theirs = exported(architecture, image, 3, tmp_path_factory.mktemp("export"))
    pixels = torch.randn(4, *image, dtype=torch.float64)
    for network in (ours.train(), theirs.train()):
        network(pixels).square().sum().backward()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(its.grad, mine.grad, rtol=1e-8, atol=1e-8)


@given(networks(most_layers=20), images)
@settings(max_examples=25, deadline=None)
def test_is_formatted_as_ruff_formats_it(architecture: ConvNet, image: ImageShape) -> None:
    standardization = Standardization((0.5,) * image.channels, (0.25,) * image.channels)
    source = write_source(architecture, image, 10, "A network", standardization)
    ruff = Path(sys.executable).with_name("ruff")
    formatted = subprocess.run(
        [ruff, "format", "--isolated", "--line-length", "100", "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert source == formatted


def test_a_layer_is_a_line_and_its_inputs_are_named() -> None:
    architecture = ConvNet(
        layers=(
            convolution(24, height=3, width=5),
            Layer(operation=MaxPooling(size=3, stride=2), inputs=(0,)),
            Layer(operation=BatchNormalization(), inputs=(1,)),
            convolution(36, inputs=(0, 2)),
            convolution(48),
        )
    )
    source = write_source(architecture, IMAGE, 10, "Trial 7 of the search digits", None)
    assert source.startswith('"""Trial 7 of the search digits.\n\n')
    lines = [line.strip() for line in source.splitlines()]
    begin = lines.index("self.conv1 = ConvBlock(3, 24, kernel_size=(3, 5))")
    assert lines[begin + 1 : begin + 6] == [
        "self.pool2 = nn.MaxPool2d(3, stride=2, padding=1)",
        "self.norm3 = nn.BatchNorm2d(24)",
        "self.conv4 = ConvBlock(48, 36, kernel_size=(3, 3))",
        "self.conv5 = ConvBlock(3, 48, kernel_size=(3, 3))",
        "self.classifier = nn.Linear(84, 10)",
    ]
    begin = lines.index("x1 = self.conv1(images)")
    assert lines[begin + 1 : begin + 7] == [
        "x2 = self.pool2(x1)",
        "x3 = self.norm3(x2)",
        "x4 = self.conv4(concatenate(x1, x3))",
        "x5 = self.conv5(images)",
        "features = concatenate(x4, x5)",
        "return self.classifier(features.mean(dim=(2, 3)))",
    ]


@pytest.mark.parametrize(
    ("architecture", "absent"),
    [
        (ConvNet(layers=(convolution(),)), ["concatenate", "MaxPool", "AveragePool", "padded"]),
        (ConvNet(layers=(convolution(), convolution())), ["padded"]),
        (ConvNet(layers=(Layer(operation=BatchNormalization()),)), ["ConvBlock", "concatenate"]),
    ],
)
def test_holds_only_what_the_network_needs(architecture: ConvNet, absent: list[str]) -> None:
    source = write_source(architecture, IMAGE, 10, "A network", None)
    assert [word for word in absent if word in source] == []


def test_takes_pixels_from_0_to_1_when_it_knows_the_standardization(tmp_path: Path) -> None:
    architecture = ConvNet(layers=(convolution(), Layer(operation=AveragePooling(size=2, stride=2), inputs=(0,))))
    plain, _ = exported(architecture, IMAGE, 10, tmp_path)
    standardization = Standardization((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    source = tmp_path / "model.py"
    source.write_text(write_source(architecture, IMAGE, 10, "A network", standardization))
    network = load_network(source)
    network.load_state_dict(renamed_weights(plain, network))  # the constants are no weights
    network = network.double().eval()
    pixels = torch.rand(2, *IMAGE, dtype=torch.float64)
    mean, deviation = (
        torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (standardization.mean, standardization.deviation)
    )
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), plain((pixels - mean) / deviation), rtol=1e-5, atol=1e-5)


@given(networks(), images, st.integers(2, 5), st.booleans())
@settings(max_examples=50, deadline=None)
def test_learns_random_labels_when_it_is_run_by_itself(
    tmp_path_factory: pytest.TempPathFactory, architecture: ConvNet, image: ImageShape, classes: int, pixels: bool
) -> None:
    standardization = Standardization((0.5,) * image.channels, (0.25,) * image.channels) if pixels else None
    source = tmp_path_factory.mktemp("export") / "model.py"
    source.write_text(write_source(architecture, image, classes, "A network", standardization))
    with redirect_stdout(StringIO()) as output:
        runpy.run_path(str(source), run_name="__main__")
    first, *_, last = losses(output.getvalue())
    assert last < first


def test_trains_as_a_program_of_its_own_on_images_of_the_right_shape(tmp_path: Path) -> None:
    architecture = ConvNet(layers=(convolution(8), convolution(8, inputs=(0,)), convolution(4)))
    (tmp_path / "model.py").write_text(write_source(architecture, ImageShape(1, 28, 28), 10, "A network"))
    ran = subprocess.run(
        [sys.executable, "model.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert len(losses(ran.stdout)) == 10
    assert losses(ran.stdout)[-1] < losses(ran.stdout)[0]


def losses(output: str) -> list[float]:
    return [float(line.rpartition(" ")[2]) for line in output.splitlines() if line.startswith("step ")]


def test_names_the_file_of_weights_that_comes_with_it_and_no_other() -> None:
    architecture = ConvNet(layers=(convolution(),))
    assert "safetensors" not in write_source(architecture, IMAGE, 10, "A network")
    source = write_source(architecture, IMAGE, 10, "A network", weights="best.safetensors")
    assert '    network.load_state_dict(load_file("best.safetensors"))\n' in source


def test_runs_where_nothing_of_ours_can_be_imported(tmp_path: Path) -> None:
    architecture = ConvNet(
        layers=(
            convolution(4, height=2),
            Layer(operation=MaxPooling(size=2, stride=2), inputs=(0,)),
            Layer(operation=AveragePooling(size=4, stride=1), inputs=(0, 1)),
        )
    )
    (tmp_path / "model.py").write_text(write_source(architecture, IMAGE, 10, "A network"))
    program = textwrap.dedent(f"""\
        import sys

        class Nothing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0].startswith(("nas_", "kubenas")):
                    raise ImportError(f"{{name}} must not be imported")

        sys.meta_path.insert(0, Nothing())
        sys.path.insert(0, {str(tmp_path)!r})
        import torch
        from model import Network
        print(tuple(Network().eval()(torch.rand(2, 3, 8, 8)).shape))
        assert not [name for name in sys.modules if name.startswith("nas_")]
    """)
    ran = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "(2, 10)"
