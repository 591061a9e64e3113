"""How quantities, layers, nodes of cells and choices are written for a person."""

from collections.abc import Iterable, Mapping

from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    MaxPooling,
    RecurrentCell,
)
from nas_api.architectures.convnet import Operation
from nas_api.spec.discrete_space import ChoiceValue
from nas_controller.journal.journal import TrialRecord, TrialState


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
    """How long a trial trained, or whose result it was given: `42s`, `stopped after 9.1s`, `replay of 7`."""
    if record.replay_of is not None:
        return f"replay of {record.replay_of}"
    trained = duration(record.train_seconds)
    return f"stopped after {trained}" if record.state is TrialState.STOPPED_EARLY else trained


def trial(record: TrialRecord) -> str:
    """A finished trial in a line: `trial 7: reward 0.9122, 12.3k parameters, 42s`."""
    name = f"trial {record.sampled.trial}"
    if record.state is TrialState.FAILED:
        return f"{name}: failed, {record.reason}"
    size = f", {count(record.sampled.parameters)} parameters" if record.sampled.parameters else ""
    return f"{name}: reward {record.reward or 0.0:.4f}{size}, {took(record)}"


def saved(replayed: int, stopped_early: int) -> str:
    """What a search has not trained, or not to the end: `trials 12 replayed, 3 stopped early`. Empty if nothing."""
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


def combination(cell: RecurrentCell, node: int) -> str:
    """The value of a node before its activation: `W2 x * U2 h` of a leaf, `a0 + a1` of an inner node."""
    children = cell.children(node)
    left, right = (f"W{node} x", f"U{node} h") if children is None else (f"a{children[0]}", f"a{children[1]}")
    return _combined(cell.nodes[node].combination, left, right)


def activation(cell: RecurrentCell, node: int) -> str:
    """The value of a node: `tanh(a0 * a1)`."""
    return _activated(cell.nodes[node].activation, combination(cell, node))


def injection(cell: RecurrentCell) -> str:
    """How the former memory changes the node that takes it in: `a8 = tanh(a8 + c)`."""
    name = f"a{cell.inject_index}"
    return f"{name} = {_activated(cell.inject.activation, _combined(cell.inject.combination, name, 'c'))}"


def _combined(combination: str, left: str, right: str) -> str:
    match combination:
        case "add":
            return f"{left} + {right}"
        case "multiply":
            return f"{left} * {right}"
        case _:
            return f"{combination}({left}, {right})"


def _activated(activation: str, text: str) -> str:
    return text if activation == "identity" else f"{activation}({text})"


def value(value: ChoiceValue) -> str:
    """A value of a choice, as it is written in a manifest: `0.1`, `gelu`, `true`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def names_in_rounds(rounds: Iterable[Mapping[str, ChoiceValue]]) -> list[str]:
    """The names of the choices of a repeat, in the order in which they are made."""
    order: list[str] = []
    for values in rounds:
        after = 0
        for name in values:
            if name in order:
                after = order.index(name) + 1
            else:
                order.insert(after, name)
                after += 1
    return order
