"""Writes an architecture as a table for a person: its layers, nodes or choices, one a row."""

from collections.abc import Mapping, Sequence

from nas_api.architectures import Architecture, ConvNet, Discrete, RecurrentCell
from nas_api.architectures.convnet import count_layer_flops, count_layer_parameters
from nas_api.spec.discrete_space import ChoiceValue
from nas_controller.data_shape import DataShape
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nas_cli import wording


def architecture_table(architecture: Architecture, data: DataShape | None = None) -> Table | Group:
    """What an architecture is made of.

    Args:
        architecture: what to write.
        data: shape of the data, of a ConvNet; None: not known, and neither shapes nor counts are written.
    """
    match architecture:
        case ConvNet():
            return _layers_table(architecture, data)
        case RecurrentCell():
            return _nodes_table(architecture)
        case Discrete():
            return _choices_table(architecture)


def _layers_table(network: ConvNet, data: DataShape | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", title_justify="left")
    table.add_column("layer", justify="right")
    table.add_column("operation")
    table.add_column("inputs")
    shapes = network.shapes(data.image) if data else None
    if shapes:
        table.add_column("output", justify="right")
        table.add_column("parameters", justify="right")
        table.add_column("FLOPs", justify="right")
    for index, layer in enumerate(network.layers):
        row = [str(index + 1), wording.operation(layer.operation), wording.inputs(network, index)]
        if shapes:
            entering, leaving = shapes[index]
            row += [
                wording.shape(leaving),
                f"{count_layer_parameters(layer.operation, entering):,}",
                wording.count(count_layer_flops(layer.operation, entering)),
            ]
        table.add_row(*row)
    ends = wording.layer_numbers(network.loose_ends)
    row = ["", "global average pooling, linear", ends]
    if data:
        features = network.classifier_shape(data.image).channels
        row += [str(data.classes), f"{(features + 1) * data.classes:,}", wording.count(2 * features * data.classes)]
    table.add_row(*row, style="dim")
    return table


def _nodes_table(cell: RecurrentCell) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("node", justify="right")
    table.add_column("value")
    table.add_column("memory")
    for index in range(len(cell.nodes)):
        memory = []
        if index == cell.memory_index:
            memory.append(f"{wording.combination(cell, index)} is the new memory c'")
        if index == cell.inject_index:
            memory.append(f"then {wording.injection(cell)}")
        name = f"h' = a{index}" if index == len(cell.nodes) - 1 else f"a{index}"
        table.add_row(str(index), Text(f"{name} = {wording.activation(cell, index)}"), Text("; ".join(memory)))
    return table


def _choices_table(architecture: Discrete) -> Group:
    tables: list[Table] = []
    for name, value in architecture.nested.items():
        if isinstance(value, list):
            tables.append(_rounds_table(name, value))
            continue
        if not tables or tables[-1].title:
            tables.append(Table(box=None, padding=(0, 2, 0, 0), header_style="bold"))
            tables[-1].add_column("choice")
            tables[-1].add_column("value")
        tables[-1].add_row(Text(name), Text(wording.value(value)))
    spaced = [part for table in tables for part in (table, Text())]
    return Group(*spaced[:-1])


def _rounds_table(name: str, rounds: Sequence[Mapping[str, ChoiceValue]]) -> Table:
    names = wording.names_in_rounds(rounds)
    table = Table(
        box=None, padding=(0, 2, 0, 0), header_style="bold", title=name, title_justify="left", title_style="bold"
    )
    table.add_column("round", justify="right", style="dim")
    for column in names:
        table.add_column(Text(column))
    for index, values in enumerate(rounds):
        table.add_row(str(index), *(Text(wording.value(values[c]) if c in values else "") for c in names))
    return table
