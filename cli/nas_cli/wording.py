"""How quantities and layers are written for a person."""

from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    MaxPooling,
)
from nas_api.architectures.convnet import Operation
from nas_controller.journal.journal import TrialRecord


def count(number: float) -> str:
    """A count with three digits and a unit: 912, 4.20M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit * 0.9995:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.0f}"


def number(count: int, thing: str) -> str:
    """A number of things: `1 worker`, `2 workers`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 0.8s, 42s, 3m 05s, 2h 10m, 4d 07h."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d {h:02d}h"
    if hours:
        return f"{hours}h {m:02d}m"
    return f"{minutes}m {s:02d}s" if minutes else f"{s}s"


def took(record: TrialRecord) -> str:
    """How long a trial trained, or whose result it was given: `42s`, `replay of 7`."""
    return duration(record.train_seconds) if record.replay_of is None else f"replay of {record.replay_of}"


def saved(replayed: int, stopped_early: int) -> str:
    """What a search has not trained, or not to the end: `12 trials replayed, 3 stopped early`. Empty if nothing."""
    parts = [f"{count} {what}" for count, what in ((replayed, "replayed"), (stopped_early, "stopped early")) if count]
    return f"trials {', '.join(parts)}" if parts else ""


def operation(operation: Operation) -> str:
    """A layer in a few words: `3x5 conv, 48 filters, stride 2`."""
    match operation:
        case Convolution(filter_height=height, filter_width=width, filters=filters):
            text = f"{height}x{width} conv, {filters} filters"
            rows, columns = operation.stride_height, operation.stride_width
            if rows == columns:
                return text if rows == 1 else f"{text}, stride {rows}"
            return f"{text}, stride {rows}x{columns}"
        case MaxPooling(size=size, stride=stride):
            return f"{size}x{size} max pooling, stride {stride}"
        case AveragePooling(size=size, stride=stride):
            return f"{size}x{size} average pooling, stride {stride}"
        case BatchNormalization():
            return "batch normalization"


def shape(shape: ImageShape) -> str:
    """Channels, height and width: `48x8x8`."""
    return f"{shape.channels}x{shape.height}x{shape.width}"


def inputs(network: ConvNet, layer: int) -> str:
    """What a layer takes: `image`, `3` or `1, 2, 4` (layers are counted from 1)."""
    return layer_numbers(network.layers[layer].inputs) or "image"


def layer_numbers(indices: tuple[int, ...]) -> str:
    """Layers, counted from 1, in a list."""
    return ", ".join(str(index + 1) for index in indices)
