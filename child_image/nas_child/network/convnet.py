"""`ConvolutionalNetwork`: a `ConvNet` architecture as a `torch.nn.Module` (paper, sections 3.1 and 3.3)."""

from collections.abc import Sequence

import torch
from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    Layer,
    MaxPooling,
)
from torch import Tensor, nn
from torch.nn import functional


class ConvolutionalNetwork(nn.Module):
    """The network that a `ConvNet` describes.

    The three repair rules: a layer without inputs takes the image; the outputs that no layer takes are concatenated for
    the classifier; inputs of different sizes are padded with zeros to the largest. The classifier is global average
    pooling and a linear layer.

    `layers[i]` is layer i of the architecture.
    """

    def __init__(self, architecture: ConvNet, image: ImageShape, classes: int, epsilon: float = 1e-5) -> None:
        """Builds the network with random weights (He et al. 2015 for the convolutions).

        Args:
            architecture: what to build.
            image: shape of one image. Only the number of its channels is built in.
            classes: number of classes.
            epsilon: what batch normalisation adds to the variance.
        """
        super().__init__()
        self.inputs = [layer.inputs for layer in architecture.layers]
        self.loose_ends = architecture.loose_ends
        self.layers = nn.ModuleList(
            build_layer(layer, entering.channels)
            for layer, (entering, _) in zip(architecture.layers, architecture.shapes(image), strict=True)
        )
        self.classifier = nn.Linear(architecture.classifier_shape(image).channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.eps = epsilon

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes before the softmax, (batch, classes), for images (batch, channels, height, width)."""
        outputs: list[Tensor] = []
        for inputs, layer in zip(self.inputs, self.layers, strict=True):
            outputs.append(layer(pad_and_concatenate([outputs[i] for i in inputs]) if inputs else images))
        features = pad_and_concatenate([outputs[i] for i in self.loose_ends])
        scores: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return scores


def pad_and_concatenate(maps: Sequence[Tensor]) -> Tensor:
    """Feature maps (batch, channels, height, width), centred in zeros of the largest size, concatenated in depth."""
    height = max(m.shape[2] for m in maps)
    width = max(m.shape[3] for m in maps)
    padded = []
    for m in maps:
        rows, columns = height - m.shape[2], width - m.shape[3]
        if rows or columns:
            m = functional.pad(m, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        padded.append(m)
    return torch.cat(padded, dim=1) if len(padded) > 1 else padded[0]


def build_layer(layer: Layer, channels: int) -> nn.Module:
    """The module of one layer that `channels` feature maps enter."""
    match layer.operation:
        case Convolution() as conv:
            window = (conv.filter_height, conv.filter_width)
            padding, own = _same_padding(window, 0.0)
            return nn.Sequential(
                *padding,
                nn.Conv2d(
                    channels, conv.filters, window, (conv.stride_height, conv.stride_width), padding=own, bias=False
                ),
                nn.BatchNorm2d(conv.filters),
                nn.ReLU(inplace=True),
            )
        case MaxPooling(size=size, stride=stride):
            padding, own = _same_padding((size, size), float("-inf"))
            return nn.Sequential(*padding, nn.MaxPool2d(size, stride, padding=own))
        case AveragePooling(size=size, stride=stride):
            return SameAveragePooling(size, stride)
        case BatchNormalization():
            return nn.BatchNorm2d(channels)


def _same_padding(window: tuple[int, int], value: float) -> tuple[list[nn.Module], tuple[int, int]]:
    """How n pixels become ceil(n / stride): a padding layer if need be, and the padding that the layer does itself.

    `window - 1` pixels of padding do it for every stride. Half of an even window is no whole pixel: it gets the odd one
    at the bottom and at the right, like `padding="same"`, which PyTorch has for a stride of 1 alone.
    """
    (top, bottom), (left, right) = (((size - 1) // 2, size // 2) for size in window)
    if (top, left) == (bottom, right):
        return [], (top, left)
    return [nn.ConstantPad2d((left, right, top, bottom), value)], (0, 0)


class SameAveragePooling(nn.Module):
    """The mean of the pixels of each square window that lie in the image: n pixels become ceil(n / stride)."""

    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size = size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to (batch, channels, ceil(height / stride), ceil(width / stride))."""
        if self.size % 2:
            return functional.avg_pool2d(x, self.size, self.stride, padding=self.size // 2, count_include_pad=False)
        before, after = self.size // 2 - 1, self.size // 2
        padding = (before, after, before, after)
        total = functional.avg_pool2d(functional.pad(x, padding), self.size, self.stride)
        inside = functional.avg_pool2d(functional.pad(torch.ones_like(x[:1, :1]), padding), self.size, self.stride)
        return total / inside
