"""`DataShape`: what the controller knows of the data. Constraints on size need it to count parameters and FLOPs."""

from dataclasses import dataclass
from typing import Self

from nas_api.architectures import ImageShape


@dataclass(frozen=True, slots=True)
class DataShape:
    """Shape of one image, and the number of classes."""

    image: ImageShape
    classes: int

    def __str__(self) -> str:
        return f"{self.image.channels}x{self.image.height}x{self.image.width} images of {self.classes} classes"

    def to_fact(self) -> str:
        """As the journal keeps it."""
        return ",".join(map(str, (*self.image, self.classes)))

    @classmethod
    def from_fact(cls, text: str) -> Self:
        """Back from `to_fact`."""
        channels, height, width, classes = map(int, text.split(","))
        return cls(ImageShape(channels, height, width), classes)
