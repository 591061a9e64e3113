"""`spec.searchSpace`: which architectures there are. Immutable once a search has begun."""

from typing import Annotated, Literal, Self

from annotated_types import Ge, Le
from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from nas_api.spec.base import SpecModel
from nas_api.spec.discrete_space import DiscreteSpace

FilterSize = Annotated[int, Ge(1), Le(31)]
Stride = Annotated[int, Ge(1), Le(8)]
Filters = Annotated[int, Ge(1), Le(4096)]
LayerType = Literal["Convolution", "MaxPooling", "AveragePooling", "BatchNormalization"]
CombinationName = Literal["add", "multiply", "max"]
ActivationName = Literal["identity", "tanh", "sigmoid", "relu", "sin"]
SpaceType = Literal["ConvNet", "RecurrentCell", "Discrete"]


def _distinct(name: str, choices: tuple[object, ...]) -> None:
    if len(set(choices)) != len(choices):
        raise ValueError(f"{name} lists a choice twice: {list(choices)}")


class DepthSchedule(SpecModel):
    """How many layers an architecture has, growing as the search goes on (paper, section 3.3)."""

    initial: int = Field(default=6, ge=1, le=100)
    """Layers of the first architectures."""
    increment: int = Field(default=2, ge=0, le=100)
    """Layers added at each step of the schedule. 0 keeps the depth at `initial`."""
    every: int = Field(default=1600, ge=1, le=1_000_000)
    """Architectures sampled between two steps of the schedule."""
    max: int = Field(default=20, ge=1, le=100)
    """The depth at which the schedule ends."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.initial:
            raise ValueError(f"max ({self.max}) is less than initial ({self.initial})")
        return self

    def depth(self, sampled: int) -> int:
        """Layers of the next architecture when `sampled` have been sampled before."""
        return min(self.max, self.initial + self.increment * (sampled // self.every))


class Constraints(SpecModel):
    """Limits that an architecture must keep. Those that do not keep them are never given to a worker.

    They need the shape of the data, so they are for the built-in tasks.
    """

    max_parameters: int | None = Field(default=None, ge=1, le=10**15)
    """Most trainable parameters, classifier included. No limit by default."""
    max_flops: int | None = Field(default=None, ge=1, le=10**18)
    """Most floating-point operations (multiply-adds counted as two) of a forward pass of one sample. No limit by
    default."""


class ConvNetSpace(SpecModel):
    """Convolutional networks: a list of layers, each with its own inputs (paper, sections 3.1 and 3.3)."""

    layers: DepthSchedule = DepthSchedule()
    """The number of layers."""
    layer_types: tuple[LayerType, ...] = Field(default=("Convolution",), min_length=1, max_length=4)
    """What a layer may be. With more than one, the policy predicts the type of each layer first."""
    filter_heights: tuple[FilterSize, ...] = Field(default=(1, 3, 5, 7), min_length=1, max_length=16)
    """Choices for the height of a convolution's filters, in pixels."""
    filter_widths: tuple[FilterSize, ...] = Field(default=(1, 3, 5, 7), min_length=1, max_length=16)
    """Choices for the width of a convolution's filters, in pixels."""
    filters: tuple[Filters, ...] = Field(default=(24, 36, 48, 64), min_length=1, max_length=32)
    """Choices for the number of filters of a convolution."""
    strides: tuple[Stride, ...] = Field(default=(1,), min_length=1, max_length=8)
    """Choices for the stride of a convolution, its height and its width predicted one by one. One choice fixes both."""
    pool_sizes: tuple[FilterSize, ...] = Field(default=(2, 3), min_length=1, max_length=8)
    """Choices for the window of a pooling layer, square, in pixels. They count when `layerTypes` has a pooling."""
    pool_strides: tuple[Stride, ...] = Field(default=(2,), min_length=1, max_length=8)
    """Choices for the stride of a pooling layer. One choice fixes it. They count when `layerTypes` has a pooling."""
    skip_connections: bool = True
    """Whether the policy chooses the inputs of each layer among all earlier layers, through anchor points. If
    false, each layer takes the output of the one before."""
    constraints: Constraints = Constraints()
    """Limits on size and cost."""

    def size(self, depth: int) -> int:
        """How many sequences of decisions there are for networks of `depth` layers."""
        convolutions = len(self.filter_heights) * len(self.filter_widths) * len(self.filters) * len(self.strides) ** 2
        poolings = len(self.pool_sizes) * len(self.pool_strides)
        layers = sum(
            {"Convolution": convolutions, "BatchNormalization": 1}.get(layer_type, poolings)
            for layer_type in self.layer_types
        )
        connections = depth * (depth - 1) // 2 if self.skip_connections else 0
        count: int = layers**depth * 2**connections
        return count

    @model_validator(mode="after")
    def _no_choice_twice(self) -> Self:
        for name in (
            "layer_types", "filter_heights", "filter_widths", "filters", "strides", "pool_sizes", "pool_strides",
        ):  # fmt: skip
            _distinct(to_camel(name), getattr(self, name))
        return self


class RecurrentCellSpace(SpecModel):
    """Cells of recurrent networks: binary trees with a memory (paper, section 3.4)."""

    base: int = Field(default=8, ge=2, le=64)
    """N, the number of leaves of the tree. The paper has 8; an LSTM is about as large as a cell of base 4."""
    combinations: tuple[CombinationName, ...] = Field(default=("add", "multiply"), min_length=1, max_length=3)
    """How a node can make one value of two, element by element. The paper's control experiment adds `max`."""
    activations: tuple[ActivationName, ...] = Field(
        default=("identity", "tanh", "sigmoid", "relu"), min_length=1, max_length=5
    )
    """What a node can do to that value. The paper's control experiment adds `sin`."""

    @model_validator(mode="after")
    def _no_choice_twice(self) -> Self:
        for name in ("combinations", "activations"):
            _distinct(name, getattr(self, name))
        return self

    def size(self) -> int:
        """How many sequences of decisions there are: mirror images of a cell are counted apart."""
        nodes = 2 * self.base - 1
        # The injection of the memory has a combination and an activation as each node has.
        count: int = (len(self.combinations) * len(self.activations)) ** (nodes + 1) * nodes**2
        return count


class SearchSpace(SpecModel):
    """The set of architectures to search: a union, `type` says which member is meant."""

    type: SpaceType = "ConvNet"
    """ConvNet: networks for images. RecurrentCell: cells of recurrent networks for language. Discrete: any choices of
    your own, for a task of your own."""
    conv_net: ConvNetSpace = ConvNetSpace()
    """With `type: ConvNet`."""
    recurrent_cell: RecurrentCellSpace = RecurrentCellSpace()
    """With `type: RecurrentCell`."""
    discrete: DiscreteSpace = DiscreteSpace()
    """With `type: Discrete`."""

    @property
    def constrained(self) -> bool:
        """Whether architectures have limits to keep, which takes the shape of the data to tell."""
        constraints = self.conv_net.constraints
        return self.type == "ConvNet" and (constraints.max_parameters is not None or constraints.max_flops is not None)

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if "Convolution" not in self.conv_net.layer_types:
            raise ValueError(
                "convNet.layerTypes must include Convolution: pooling and normalisation alone learn nothing"
            )
        return self

    @model_validator(mode="after")
    def _the_member_is_there(self) -> Self:
        if self.type == "Discrete" and not self.discrete.choices:
            raise ValueError("type Discrete needs discrete.choices: list what can be chosen")
        for name, kind in (("conv_net", "ConvNet"), ("recurrent_cell", "RecurrentCell"), ("discrete", "Discrete")):
            member = getattr(self, name)
            if kind != self.type and member != type(member)():
                raise ValueError(
                    f"{to_camel(name)} is given, and type is {self.type}: set type to {kind}, or leave it out"
                )
        return self
