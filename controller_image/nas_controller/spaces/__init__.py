"""Search spaces: which decisions make an architecture."""

from nas_api import spec

from nas_controller.spaces.convnet import ConvNetSpace
from nas_controller.spaces.discrete import DiscreteSpace
from nas_controller.spaces.recurrent_cell import RecurrentCellSpace
from nas_controller.spaces.space import Kind, Space, Step


def build_space(search_space: spec.SearchSpace) -> Space:
    """The space that a manifest's `searchSpace` describes."""
    match search_space.type:
        case "ConvNet":
            return ConvNetSpace(search_space.conv_net)
        case "RecurrentCell":
            return RecurrentCellSpace(search_space.recurrent_cell)
        case "Discrete":
            return DiscreteSpace(search_space.discrete)


__all__ = ["ConvNetSpace", "DiscreteSpace", "Kind", "RecurrentCellSpace", "Space", "Step", "build_space"]
