"""Writes a `ConvNet` as the Python module that a person would write for it. It imports PyTorch and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas_api.architectures.convnet import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    MaxPooling,
    Operation,
)
from nas_api.architectures.pytorch_definitions import write_definitions
from nas_api.architectures.shape import ImageShape

_LINE = 100  # characters


@dataclass(frozen=True, slots=True)
class Standardization:
    """Mean and standard deviation of each channel, of pixels from 0 to 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def write_source(
    network: ConvNet,
    image: ImageShape,
    classes: int,
    title: str,
    standardization: Standardization | None = None,
    weights: str = "",
    epsilon: float = 1e-5,
) -> str:
    """The module's text: a class `Network`, whose layers are named and numbered as `nas show` numbers them.

    Run by itself, the module trains the network on random images for a few steps and prints the loss.

    Args:
        network: the architecture.
        image: shape of the images. Only the number of channels is built in.
        classes: number of classes.
        title: first line of the module's docstring, without the full stop.
        standardization: built in, so that the network takes pixels from 0 to 1; None: it takes standardised images.
        weights: name of the file of weights that comes with the module (safetensors); empty: there is none.
        epsilon: what batch normalisation adds to the variance.
    """
    size = f"{image.channels}, {image.height}, {image.width}"
    pixels = (
        "pixels of 0 to 255 divided by 255" if standardization else "each channel of mean 0 and standard deviation 1"
    )
    loading = _LOADING.format(file=weights) if weights else "network = Network()  # with random weights"
    standardize = "        images = (images - self.mean) / self.deviation\n" if standardization else ""
    return f'''"""{title}.

{network.count_parameters(image, classes):,} parameters, {classes} classes. The code needs nothing but PyTorch:

    {loading}
    scores = network(images)  # images: float32, (batch, {size}), {pixels}

Run by itself, as in `python model.py`, it trains on random images for a few steps: a start for code of your own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


{write_definitions(network)}class Network(nn.Module):
    """Class scores, (batch, {classes}), of images, (batch, {size})."""
{_BUFFERS if standardization else ""}
    def __init__(self) -> None:
        super().__init__()
{_standardization_lines(standardization)}{_layer_lines(network, image, classes)}{_epsilon_lines(epsilon)}
    def forward(self, images: Tensor) -> Tensor:
{standardize}{_forward_lines(network)}

def main() -> None:
    """Trains on random images and labels. Put data of your own in their place."""
    torch.manual_seed(0)
    images = torch.{"rand" if standardization else "randn"}(16, {size})
    labels = torch.randint({classes}, (16,))
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(1, 11):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {{step}}: loss {{loss.item():.4f}}")


if __name__ == "__main__":
    main()
'''


def layer_names(network: ConvNet) -> list[str]:
    """Attribute names of the layers, such as `conv1`, `pool2` and `norm3`."""
    prefixes = {"Convolution": "conv", "MaxPooling": "pool", "AveragePooling": "pool", "BatchNormalization": "norm"}
    return [f"{prefixes[layer.operation.op]}{index + 1}" for index, layer in enumerate(network.layers)]


# Parts of the text. -------------------------------------------------------------------------------------------------

# Of PyTorch.
_USUAL_EPSILON = 1e-5
_LOADING = """\
from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file("{file}"))
    network.eval()"""

_BUFFERS = """
    mean: Tensor
    deviation: Tensor
"""


def _standardization_lines(standardization: Standardization | None) -> str:
    if standardization is None:
        return ""
    lines = "        # Mean and standard deviation of each channel over the training set, of pixels from 0 to 1.\n"
    for name, values in (("mean", standardization.mean), ("deviation", standardization.deviation)):
        numbers = ", ".join(f"{value:.9g}" for value in values)
        lines += f"        {name} = torch.tensor([{numbers}])\n"
        lines += f'        self.register_buffer("{name}", {name}.view(1, -1, 1, 1), persistent=False)\n'
    return lines


def _layer_lines(network: ConvNet, image: ImageShape, classes: int) -> str:
    shapes = network.shapes(image)
    lines = [
        f"self.{name} = {_module(layer.operation, entering.channels)}"
        for name, layer, (entering, _) in zip(layer_names(network), network.layers, shapes, strict=True)
    ]
    lines.append(f"self.classifier = nn.Linear({network.classifier_shape(image).channels}, {classes})")
    return "".join(f"        {line}\n" for line in lines)


def _epsilon_lines(epsilon: float) -> str:
    if epsilon == _USUAL_EPSILON:
        return ""
    return (
        "        for module in self.modules():\n"
        "            if isinstance(module, nn.BatchNorm2d):\n"
        f"                module.eps = {epsilon!r}\n"
    )


def _module(operation: Operation, channels: int) -> str:
    match operation:
        case Convolution():
            kernel = (operation.filter_height, operation.filter_width)
            stride = (operation.stride_height, operation.stride_width)
            strided = f", stride={stride}" if stride != (1, 1) else ""
            return f"ConvBlock({channels}, {operation.filters}, kernel_size={kernel}{strided})"
        case MaxPooling(size=size, stride=stride):
            if size % 2 == 0:
                return f"MaxPool({size}, stride={stride})"
            return f"nn.MaxPool2d({size}, stride={stride}, padding={size // 2})"
        case AveragePooling(size=size, stride=stride):
            if size % 2 == 0:
                return f"AveragePool({size}, stride={stride})"
            return f"nn.AvgPool2d({size}, stride={stride}, padding={size // 2}, count_include_pad=False)"
        case BatchNormalization():
            return f"nn.BatchNorm2d({channels})"


def _forward_lines(network: ConvNet) -> str:
    lines = []
    for index, (name, layer) in enumerate(zip(layer_names(network), network.layers, strict=True)):
        inputs = [f"x{i + 1}" for i in layer.inputs] or ["images"]
        lines.append(_apply(f"x{index + 1}", f"self.{name}", inputs))
    ends = [f"x{i + 1}" for i in network.loose_ends]
    if len(ends) > 1:
        lines.append(_apply("features", "concatenate", ends))
        ends = ["features"]
    lines.append(f"        return self.classifier({ends[0]}.mean(dim=(2, 3)))\n")
    return "".join(lines)


def _apply(target: str, function: str, inputs: Sequence[str]) -> str:
    """`target = function(inputs)`, several inputs of a layer concatenated, wrapped as ruff and black wrap it."""
    calls = [function] if len(inputs) == 1 or function == "concatenate" else [function, "concatenate"]
    head, indent = f"        {target} = ", " " * 8
    arguments = ", ".join(inputs)
    line = f"{head}{'('.join(calls)}({arguments}{')' * len(calls)}"
    if len(line) <= _LINE:
        return line + "\n"
    text, closing = "", ""
    for depth, call in enumerate(calls):
        text += f"{head}{call}(\n"
        closing = f"{indent})\n{closing}"
        indent += " " * 4
        rest = (
            f"{indent}{'('.join(calls[depth + 1 :])}({arguments})" if depth + 1 < len(calls) else f"{indent}{arguments}"
        )
        if len(rest) <= _LINE:
            return f"{text}{rest}\n{closing}"
        head = indent
    return text + "".join(f"{indent}{argument},\n" for argument in inputs) + closing
