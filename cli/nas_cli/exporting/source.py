"""Writes a `ConvNet` as the Python module that a person would write for it. It imports PyTorch and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas_api.architectures import AveragePooling, BatchNormalization, ConvNet, Convolution, ImageShape, MaxPooling
from nas_api.architectures.convnet import Operation

_LINE = 100  # characters
# No image is as large, so only layers of the same total stride have outputs of one size there.
_LARGE = 2**40


@dataclass(frozen=True, slots=True)
class Standardization:
    """Mean and standard deviation of each channel, of pixels from 0 to 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def write_source(
    network: ConvNet, image: ImageShape, classes: int, title: str, standardization: Standardization | None
) -> str:
    """The module's text: a class `Network`, whose layers are named and numbered as `nas show` numbers them.

    Args:
        network: the architecture.
        image: shape of the images. Only the number of channels is built in.
        classes: number of classes.
        title: first line of the module's docstring, without the full stop.
        standardization: built in, so that the network takes pixels from 0 to 1; None: it takes standardised images.
    """
    shape = f"(batch, {image.channels}, {image.height}, {image.width})"
    pixels = (
        "pixels of 0 to 255 divided by 255" if standardization else "each channel of mean 0 and standard deviation 1"
    )
    helpers = "".join(text for needed, text in _helpers(network) if needed)
    functional = "from torch.nn import functional as F\n" if "F." in helpers else ""
    standardize = "        images = (images - self.mean) / self.deviation\n" if standardization else ""
    return f'''"""{title}.

{network.count_parameters(image, classes):,} parameters, {classes} classes. It needs nothing but PyTorch:

    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file("model.safetensors"))
    network.eval()
    scores = network(images)  # images: float32, {shape}, {pixels}
"""

import torch
from torch import Tensor, nn
{functional}

{helpers}class Network(nn.Module):
    """Class scores, (batch, {classes}), of images, {shape}."""
{_BUFFERS if standardization else ""}
    def __init__(self) -> None:
        super().__init__()
{_standardization_lines(standardization)}{_layer_lines(network, image, classes)}
    def forward(self, images: Tensor) -> Tensor:
{standardize}{_forward_lines(network)}'''


def layer_names(network: ConvNet) -> list[str]:
    """Attribute names of the layers, such as `conv1`, `pool2` and `norm3`."""
    prefixes = {"Convolution": "conv", "MaxPooling": "pool", "AveragePooling": "pool", "BatchNormalization": "norm"}
    return [f"{prefixes[layer.operation.op]}{index + 1}" for index, layer in enumerate(network.layers)]


# Parts of the text. -------------------------------------------------------------------------------------------------

_BUFFERS = """
    mean: Tensor
    deviation: Tensor
"""

_CONV_BLOCK = '''class ConvBlock(nn.Module):
    """A convolution that turns n pixels into ceil(n / stride), batch normalization and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


'''

_CONV_BLOCK_EVEN = '''class ConvBlock(nn.Module):
    """A convolution that turns n pixels into ceil(n / stride), batch normalization and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        height, width = kernel_size
        # An even kernel needs one pixel more at the right and at the bottom.
        self.padding = ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(F.pad(x, self.padding))))


'''

_MAX_POOL = '''class MaxPool(nn.Module):
    """Max pooling over windows of even size that turns n pixels into ceil(n / stride)."""

    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size = size
        self.stride = stride
        before, after = (size - 1) // 2, size // 2
        self.padding = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, self.padding, value=-torch.inf), self.size, self.stride)


'''

_AVERAGE_POOL = '''class AveragePool(nn.Module):
    """Average pooling over windows of even size that turns n pixels into ceil(n / stride).

    Pixels beyond the edge do not count.
    """

    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size = size
        self.stride = stride
        before, after = (size - 1) // 2, size // 2
        self.padding = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        inside = F.pad(torch.ones_like(x[:1, :1]), self.padding)
        total = F.avg_pool2d(F.pad(x, self.padding), self.size, self.stride)
        return total / F.avg_pool2d(inside, self.size, self.stride)


'''

_CONCATENATE = '''def concatenate(*maps: Tensor) -> Tensor:
    """Concatenates feature maps in depth."""
    return torch.cat(maps, dim=1)


'''

_CONCATENATE_PADDED = '''def concatenate(*maps: Tensor) -> Tensor:
    """Concatenates feature maps in depth, each centred in zeros of the largest height and width."""
    height = max(x.shape[2] for x in maps)
    width = max(x.shape[3] for x in maps)
    padded = []
    for x in maps:
        rows, columns = height - x.shape[2], width - x.shape[3]
        sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        padded.append(F.pad(x, sides))
    return torch.cat(padded, dim=1)


'''


def _helpers(network: ConvNet) -> list[tuple[bool, str]]:
    """Definitions that the network may need, each with whether it does."""
    operations = [layer.operation for layer in network.layers]
    convolutions = [operation for operation in operations if isinstance(operation, Convolution)]
    even = any(not (conv.filter_height % 2 and conv.filter_width % 2) for conv in convolutions)
    shapes = network.shapes(ImageShape(1, _LARGE, _LARGE))
    joined = [layer.inputs for layer in network.layers] + [network.loose_ends]
    joined = [inputs for inputs in joined if len(inputs) > 1]
    padded = any(len({shapes[i][1][1:] for i in inputs}) > 1 for inputs in joined)
    return [
        (bool(convolutions) and not even, _CONV_BLOCK),
        (bool(convolutions) and even, _CONV_BLOCK_EVEN),
        (any(isinstance(o, MaxPooling) and o.size % 2 == 0 for o in operations), _MAX_POOL),
        (any(isinstance(o, AveragePooling) and o.size % 2 == 0 for o in operations), _AVERAGE_POOL),
        (bool(joined) and not padded, _CONCATENATE),
        (padded, _CONCATENATE_PADDED),
    ]


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
