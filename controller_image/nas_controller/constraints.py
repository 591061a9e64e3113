"""`ConstraintChecker`: which architectures are too large or too costly to be trained."""

from nas_api import spec
from nas_api.architectures import Architecture, ImageShape


class ConstraintChecker:
    """Checks architectures against the manifest's limits."""

    def __init__(self, constraints: spec.Constraints, image: ImageShape | None, classes: int) -> None:
        """Takes the limits and the shape of the data.

        Args:
            constraints: the limits.
            image: shape of one sample; None where a user's own task keeps it to itself.
            classes: number of classes.

        Raises:
            ValueError: there is a limit, and without the shape of the data it cannot be checked.
        """
        if image is None and constraints != spec.Constraints():
            raise ValueError(
                "searchSpace.convNet.constraints cannot be checked: the shape of the data is not known, as this task "
                "does not tell it. Take the constraints away and let the task fail what is too large"
            )
        self._constraints = constraints
        self._image = image
        self._classes = classes

    def violation(self, architecture: Architecture) -> str | None:
        """Which limit `architecture` breaks and by what, in words for a person; None if it keeps them all."""
        if self._image is None:
            return None
        most_parameters, most_flops = self._constraints.max_parameters, self._constraints.max_flops
        if most_parameters is not None:
            parameters = architecture.count_parameters(self._image, self._classes)
            if parameters > most_parameters:
                return f"{parameters:,} parameters, and maxParameters is {most_parameters:,}"
        if most_flops is not None:
            flops = architecture.count_flops(self._image, self._classes)
            if flops > most_flops:
                return f"{flops:,} FLOPs, and maxFlops is {most_flops:,}"
        return None
