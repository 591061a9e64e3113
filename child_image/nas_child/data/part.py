"""What the reader of each format gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Arrays:
    """One part of a data set as its files have it.

    Attributes:
        images: (samples, channels, height, width).
        labels: integers, (samples,), not yet checked.
        where: the file or folder, for messages.
        classes: number of classes, if the format says so.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.integer[Any]]
    where: Path
    classes: int | None = None
