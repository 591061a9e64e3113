"""Search spaces: which decisions make an architecture."""

from nas_api import spec

from nas_controller.spaces.convnet import ConvNetSpace
from nas_controller.spaces.space import Kind, Space, Step


def build_space(search_space: spec.SearchSpace) -> Space:
    """The space that a manifest's `searchSpace` describes."""
    return ConvNetSpace(search_space.conv_net)


__all__ = ["ConvNetSpace", "Kind", "Space", "Step", "build_space"]
