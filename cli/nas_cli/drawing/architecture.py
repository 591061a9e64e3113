"""Draws an architecture, whatever it is."""

from matplotlib.figure import Figure
from nas_api.architectures import Architecture, ConvNet, Discrete, ImageShape, RecurrentCell

from nas_cli.drawing.convnet import WIDTH, draw_convnet
from nas_cli.drawing.discrete import draw_discrete
from nas_cli.drawing.recurrent_cell import draw_recurrent_cell


def draw_architecture(
    architecture: Architecture,
    title: str,
    image: ImageShape | None = None,
    classes: int | None = None,
    width: float = WIDTH,
) -> Figure:
    """A picture of an architecture.

    Args:
        architecture: what to draw.
        title: stands above it.
        image: shape of the images, of a ConvNet; None: not known.
        classes: number of classes, of a ConvNet; None: not known.
        width: in inches, of a ConvNet; others are as wide as they need to be.
    """
    match architecture:
        case ConvNet():
            return draw_convnet(architecture, title, image, classes, width)
        case RecurrentCell():
            return draw_recurrent_cell(architecture, title)
        case Discrete():
            return draw_discrete(architecture, title)
