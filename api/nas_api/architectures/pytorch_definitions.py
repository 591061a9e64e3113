"""Definitions that the PyTorch source of a `ConvNet` may need before its class: padded layers, and concatenation."""

from nas_api.architectures.convnet import AveragePooling, ConvNet, Convolution, MaxPooling
from nas_api.architectures.shape import ImageShape

# No image is as large, so only layers of the same total stride have outputs of one size there.
_LARGE = 2**40


def write_definitions(network: ConvNet) -> str:
    """Those that `network` needs, each followed by two empty lines."""
    return "".join(text for needed, text in _definitions(network) if needed)


def _definitions(network: ConvNet) -> list[tuple[bool, str]]:
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
