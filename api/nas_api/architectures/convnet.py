"""`ConvNet`: convolutional networks with skip connections (paper, sections 3.1 and 3.3).

The three repair rules for "compilation failures" are part of what a ConvNet means, so they live here, once, for the
builder, the counts and the drawings: a layer without inputs takes the image (`inputs == ()`); the outputs that no layer
takes are concatenated for the classifier (`loose_ends`); inputs of different sizes are padded with zeros to the largest
(`input_shapes`). Several inputs are concatenated in depth.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nas_api.architectures.canonical import canonical_order
from nas_api.architectures.canonical_form import CanonicalForm
from nas_api.architectures.shape import ImageShape
from nas_api.spec.base import SpecModel

Size = Annotated[int, Field(ge=1, le=64)]


class Convolution(SpecModel):
    """A convolution with 'same' padding, then batch normalisation and ReLU."""

    op: Literal["Convolution"] = "Convolution"
    filter_height: Size
    filter_width: Size
    filters: Annotated[int, Field(ge=1, le=65_536)]
    stride_height: Size = 1
    stride_width: Size = 1


class MaxPooling(SpecModel):
    """The largest value of each square window, 'same' padding."""

    op: Literal["MaxPooling"] = "MaxPooling"
    size: Size
    stride: Size


class AveragePooling(SpecModel):
    """The mean of each square window, 'same' padding, padding not counted."""

    op: Literal["AveragePooling"] = "AveragePooling"
    size: Size
    stride: Size


class BatchNormalization(SpecModel):
    """A batch normalisation alone."""

    op: Literal["BatchNormalization"] = "BatchNormalization"


Operation = Annotated[Convolution | MaxPooling | AveragePooling | BatchNormalization, Field(discriminator="op")]


class Layer(SpecModel):
    """One layer and the layers that it takes as inputs."""

    operation: Operation
    inputs: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=200)] = ()
    """Indices of earlier layers, from 0, ascending. Empty: the image."""


def _pad_and_concatenate(shapes: Sequence[ImageShape]) -> ImageShape:
    """The shape of feature maps padded with zeros to the largest height and width and concatenated in depth."""
    return ImageShape(sum(s.channels for s in shapes), max(s.height for s in shapes), max(s.width for s in shapes))


def _output_shape(operation: Operation, entering: ImageShape) -> ImageShape:
    match operation:
        case Convolution():
            return ImageShape(
                operation.filters,
                -(-entering.height // operation.stride_height),
                -(-entering.width // operation.stride_width),
            )
        case MaxPooling() | AveragePooling():
            return ImageShape(
                entering.channels,
                -(-entering.height // operation.stride),
                -(-entering.width // operation.stride),
            )
        case BatchNormalization():
            return entering


def count_layer_parameters(operation: Operation, entering: ImageShape) -> int:
    """Trainable parameters of one layer that feature maps of the shape `entering` enter."""
    match operation:
        case Convolution(filter_height=height, filter_width=width, filters=filters):
            # No bias: the batch normalisation after it has one.
            return height * width * entering.channels * filters + 2 * filters
        case BatchNormalization():
            return 2 * entering.channels
    return 0


def count_layer_flops(operation: Operation, entering: ImageShape) -> int:
    """Floating-point operations of one layer for one sample, counted as in `ConvNet.count_flops`."""
    match operation:
        case Convolution(filter_height=height, filter_width=width):
            leaving = _output_shape(operation, entering)
            return 2 * height * width * entering.channels * leaving.channels * leaving.height * leaving.width
    return 0


class ConvNet(CanonicalForm):
    """A convolutional network. The classifier (global average pooling and a linear layer) is implied."""

    type: Literal["ConvNet"] = "ConvNet"
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _inputs_come_before(self) -> Self:
        for index, layer in enumerate(self.layers):
            if any(i >= index for i in layer.inputs):
                raise ValueError(f"layer {index} takes {list(layer.inputs)}: only layers before it can be inputs")
            if list(layer.inputs) != sorted(set(layer.inputs)):
                raise ValueError(f"inputs of layer {index} must ascend and differ: {list(layer.inputs)}")
        return self

    @cached_property
    def loose_ends(self) -> tuple[int, ...]:
        """The layers whose output no layer takes: concatenated, they go to the classifier."""
        taken = {i for layer in self.layers for i in layer.inputs}
        return tuple(i for i in range(len(self.layers)) if i not in taken)

    def shapes(self, image: ImageShape) -> list[tuple[ImageShape, ImageShape]]:
        """For each layer the shape that enters it (padded and concatenated) and the shape that leaves it."""
        shapes: list[tuple[ImageShape, ImageShape]] = []
        for layer in self.layers:
            entering = _pad_and_concatenate([shapes[i][1] for i in layer.inputs]) if layer.inputs else image
            shapes.append((entering, _output_shape(layer.operation, entering)))
        return shapes

    def classifier_shape(self, image: ImageShape) -> ImageShape:
        """The shape of the concatenated loose ends, before global average pooling."""
        shapes = self.shapes(image)
        return _pad_and_concatenate([shapes[i][1] for i in self.loose_ends])

    def count_parameters(self, image: ImageShape, classes: int) -> int:
        """Trainable parameters of the network, classifier included."""
        return (self.classifier_shape(image).channels + 1) * classes + sum(
            count_layer_parameters(layer.operation, entering)
            for layer, (entering, _) in zip(self.layers, self.shapes(image), strict=True)
        )

    def count_flops(self, image: ImageShape, classes: int) -> int:
        """Floating-point operations of the convolutions and the classifier in a forward pass of one sample.

        A multiply-add counts as two; normalisation, activation and pooling are left out, as usual.
        """
        return 2 * self.classifier_shape(image).channels * classes + sum(
            count_layer_flops(layer.operation, entering)
            for layer, (entering, _) in zip(self.layers, self.shapes(image), strict=True)
        )

    @cached_property
    def _canonical(self) -> "ConvNet":
        order = canonical_order(
            labels=[layer.operation.model_dump_json() for layer in self.layers],
            inputs=[layer.inputs for layer in self.layers],
        )
        position = {old: new for new, old in enumerate(order)}
        return ConvNet(
            layers=tuple(
                Layer(
                    operation=self.layers[old].operation,
                    inputs=tuple(sorted(position[i] for i in self.layers[old].inputs)),
                )
                for old in order
            )
        )

    def canonical(self) -> "ConvNet":
        """The same network with its layers in canonical order: equal for isomorphic networks."""
        return self._canonical
