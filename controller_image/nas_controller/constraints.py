"""`ConstraintChecker`: which architectures are too large or too costly to be trained."""

from nas_api import spec
from nas_api.architectures import Architecture, ConvNet, ImageShape


class NoAcceptableArchitectureError(Exception):
    """The policy proposes only architectures that break the search space's constraints."""


class ConstraintChecker:
    """Checks networks against the limits of a search space. Architectures of other kinds have none."""

    def __init__(self, search_space: spec.SearchSpace, image: ImageShape | None, classes: int) -> None:
        """Takes the limits and what they are about.

        Args:
            search_space: its constraints are the limits.
            image: shape of one sample; None as long as it is not known.
            classes: number of classes.
        """
        self._constraints = search_space.conv_net.constraints
        self._image = image
        self._classes = classes

    def violation(self, architecture: Architecture) -> str | None:
        """Which limit `architecture` breaks and by how much, in words for a person; None if it keeps them all.

        Raises:
            ValueError: there is a limit, and without the shape of the data it cannot be checked.
        """
        most_parameters, most_flops = self._constraints.max_parameters, self._constraints.max_flops
        if (most_parameters is None and most_flops is None) or not isinstance(architecture, ConvNet):
            return None
        if self._image is None:
            raise ValueError("the constraints cannot be checked: the shape of the data is not known")
        if most_parameters is not None:
            parameters = architecture.count_parameters(self._image, self._classes)
            if parameters > most_parameters:
                return f"{parameters:,} parameters, and maxParameters is {most_parameters:,}"
        if most_flops is not None:
            flops = architecture.count_flops(self._image, self._classes)
            if flops > most_flops:
                return f"{flops:,} FLOPs, and maxFlops is {most_flops:,}"
        return None
