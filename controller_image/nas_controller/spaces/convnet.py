"""`ConvNetSpace`: convolutional networks as sequences of decisions (paper, sections 3.1 and 3.3)."""

from collections.abc import Generator
from functools import cache

from nas_api import spec
from nas_api.architectures import (
    Architecture,
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    Layer,
    MaxPooling,
)

from nas_controller.spaces.space import Kind, Space, Step, are_ordered, check_type

_Operation = Convolution | MaxPooling | AveragePooling | BatchNormalization

# The operations of a layer by type, each with its fields in the order in which they are decided, and where a field's
# choices stand in the manifest. The names of the decisions are those of the architecture's fields in YAML.
_TYPES: dict[str, type[_Operation]] = {
    "Convolution": Convolution,
    "MaxPooling": MaxPooling,
    "AveragePooling": AveragePooling,
    "BatchNormalization": BatchNormalization,
}
_POOLING = (("poolSize", "size", "pool_sizes"), ("poolStride", "stride", "pool_strides"))
_FIELDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Convolution": (
        ("filterHeight", "filter_height", "filter_heights"),
        ("filterWidth", "filter_width", "filter_widths"),
        ("strideHeight", "stride_height", "strides"),
        ("strideWidth", "stride_width", "strides"),
        ("filters", "filters", "filters"),
    ),
    "MaxPooling": _POOLING,
    "AveragePooling": _POOLING,
    "BatchNormalization": (),
}


@cache
def _operation(layer_type: str, values: tuple[int, ...]) -> _Operation:
    """A layer's operation. Operations are immutable and few, so that each is made and checked once."""
    fields = (field for _, field, _ in _FIELDS[layer_type])
    return _TYPES[layer_type](**dict(zip(fields, values, strict=True)))


class ConvNetSpace(Space):
    """Convolutional networks, layer after layer.

    For each layer the decisions are its type, then what its type asks for (of a convolution: filter height, filter
    width, stride height, stride width, number of filters; of a pooling layer: size, stride), then the anchor that picks
    its inputs among the earlier layers. A decision with a single choice is none: it is left out. An anchor with nothing
    chosen gives a layer that takes the image.
    """

    def __init__(self, space: spec.ConvNetSpace) -> None:
        self._space = space
        self._choices: dict[str, tuple[int, ...]] = {}
        for layer_type in space.layer_types:
            for kind, _, choices in _FIELDS[layer_type]:
                self._choices[kind] = getattr(space, choices)
        kinds = [Kind("layerType", len(space.layer_types))] if len(space.layer_types) > 1 else []
        kinds += [
            Kind(name, len(choices), ordered=are_ordered(choices))
            for name, choices in self._choices.items()
            if len(choices) > 1
        ]
        self._has_anchors = space.skip_connections and space.layers.max > 1
        if self._has_anchors:
            kinds.append(Kind("anchor", space.layers.max - 1, anchor=True))
        self.kinds = tuple(kinds)
        # Steps are immutable: one of each will do.
        self._steps = {kind.name: Step(index) for index, kind in enumerate(self.kinds)}
        self._anchors = [Step(len(kinds) - 1, layer) for layer in range(space.layers.max)]

    def depth(self, sampled: int) -> int:
        """Layers of the next architecture, by the manifest's schedule."""
        return self._space.layers.depth(sampled)

    def walk(self, depth: int) -> Generator[Step, int, Architecture]:
        """The decisions of a network of `depth` layers.

        Raises:
            ValueError: the space has no network of that depth.
        """
        if not 1 <= depth <= self._space.layers.max:
            raise ValueError(f"a network of {depth} layers is not in the space: layers.max is {self._space.layers.max}")
        layers: list[Layer] = []
        for index in range(depth):
            layer_type = self._space.layer_types[0]
            if "layerType" in self._steps:
                layer_type = self._space.layer_types[(yield self._steps["layerType"])]
            values = []
            for kind, _, _ in _FIELDS[layer_type]:
                choices = self._choices[kind]
                values.append(choices[(yield self._steps[kind])] if kind in self._steps else choices[0])
            inputs: tuple[int, ...] = (index - 1,) if index else ()
            if self._has_anchors:
                chosen = yield self._anchors[index]
                inputs = tuple(earlier for earlier in range(index) if chosen >> earlier & 1)
            # What is built of the space's own choices is valid; checking it would take most of the time of sampling.
            layers.append(Layer.model_construct(operation=_operation(layer_type, tuple(values)), inputs=inputs))
        return ConvNet.model_construct(layers=tuple(layers))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The decisions that lead to `architecture`, its layers taken in the order in which they stand.

        Any order of the layers in which each follows its inputs will do; different orders of one network give different
        decisions. The depth is the number of layers; the schedule need not have that very depth, only its `max` counts.

        Raises:
            ValueError: the architecture is not in this space; the message names the layer and the field.
        """
        network = check_type(architecture, ConvNet)
        most = self._space.layers.max
        if len(network.layers) > most:
            raise ValueError(f"the network has {len(network.layers)} layers, and layers.max is {most}")
        decisions: list[int] = []
        for index, layer in enumerate(network.layers):

            def decide(
                name: str, value: int | str, choices: tuple[int, ...] | tuple[str, ...], at: int = index
            ) -> None:
                if value not in choices:
                    allowed = ", ".join(str(choice) for choice in choices)
                    raise ValueError(f"layer {at}: {name} is {value}, not one of {allowed}")
                if name in self._steps:
                    decisions.append(choices.index(value))

            layer_type = layer.operation.op
            decide("layerType", layer_type, self._space.layer_types)
            for kind, field, _ in _FIELDS[layer_type]:
                decide(kind, getattr(layer.operation, field), self._choices[kind])
            if self._has_anchors:
                decisions.append(sum(1 << earlier for earlier in layer.inputs))
            elif layer.inputs != ((index - 1,) if index else ()):
                allowed = f"[{index - 1}], the layer before" if index else "[], the image"
                raise ValueError(
                    f"layer {index}: inputs is {list(layer.inputs)}, not {allowed}: the space has no skip connections"
                )
        return tuple(decisions)
