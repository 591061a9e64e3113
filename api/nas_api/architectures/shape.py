"""Shapes of images and feature maps."""

from typing import NamedTuple


class ImageShape(NamedTuple):
    """Channels, height and width of one sample."""

    channels: int
    height: int
    width: int
