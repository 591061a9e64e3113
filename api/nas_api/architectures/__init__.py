"""Architectures: what the policy proposes, what a worker trains and what a user takes away.

Every kind is a frozen model with a canonical form: `canonical()` writes one network in one way, and `digest` is equal
for equal networks. `RecurrentCell` and `Discrete` will stand beside `ConvNet` in `Architecture`.
"""

from nas_api.architectures.convnet import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    Layer,
    MaxPooling,
)
from nas_api.architectures.shape import ImageShape

Architecture = ConvNet


def parse_architecture(text: str) -> Architecture:
    """The architecture that canonical (or any valid) JSON describes.

    Raises:
        pydantic.ValidationError: `text` is no architecture.
    """
    return ConvNet.model_validate_json(text)


__all__ = [
    "Architecture",
    "parse_architecture",
    "ConvNet",
    "Layer",
    "Convolution",
    "MaxPooling",
    "AveragePooling",
    "BatchNormalization",
    "ImageShape",
]
