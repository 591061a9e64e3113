"""An architecture in lines of words, for who cannot see its drawing and for screens that are too small for it."""

from nas_api.architectures import Architecture, ConvNet, Discrete, RecurrentCell

from nas_cli import wording


def architecture_lines(architecture: Architecture) -> list[str]:
    """A line for each layer, node or choice."""
    match architecture:
        case ConvNet():
            return [
                f"{index + 1}: {wording.operation(layer.operation)}, from {wording.inputs(architecture, index)}"
                for index, layer in enumerate(architecture.layers)
            ] + [f"classifier, from {wording.layer_numbers(architecture.loose_ends)}"]
        case RecurrentCell():
            last = len(architecture.nodes) - 1
            lines = [
                f"{'new output ' if index == last else ''}a{index} = {wording.activation(architecture, index)}"
                for index in range(len(architecture.nodes))
            ]
            memory = architecture.memory_index
            return [
                *lines,
                f"new memory c' = {wording.combination(architecture, memory)}",
                f"former memory: {wording.injection(architecture)}",
            ]
        case Discrete():
            lines = []
            for name, value in architecture.nested.items():
                if isinstance(value, list):
                    lines += [
                        f"{name} {index}: " + ", ".join(f"{key} {wording.value(each)}" for key, each in values.items())
                        for index, values in enumerate(value)
                    ]
                else:
                    lines.append(f"{name}: {wording.value(value)}")
            return lines
