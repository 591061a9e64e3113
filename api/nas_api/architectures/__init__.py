"""Architectures: what the policy proposes, what a worker trains and what a user takes away.

Every kind is a frozen model with a canonical form: `canonical()` writes one network in one way, and `digest` is equal
for equal networks.
"""

from typing import Annotated

from pydantic import Field, TypeAdapter

from nas_api.architectures.convnet import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    Layer,
    MaxPooling,
)
from nas_api.architectures.discrete import Decision, Discrete
from nas_api.architectures.recurrent_cell import CellNode, RecurrentCell
from nas_api.architectures.shape import ImageShape

Architecture = Annotated[ConvNet | RecurrentCell | Discrete, Field(discriminator="type")]

_ANY: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def parse_architecture(text: str) -> Architecture:
    """The architecture that canonical (or any valid) JSON describes.

    Raises:
        pydantic.ValidationError: `text` is no architecture.
    """
    return _ANY.validate_json(text)


__all__ = [
    "Architecture",
    "parse_architecture",
    "ConvNet",
    "Layer",
    "Convolution",
    "MaxPooling",
    "AveragePooling",
    "BatchNormalization",
    "RecurrentCell",
    "CellNode",
    "Discrete",
    "Decision",
    "ImageShape",
]
