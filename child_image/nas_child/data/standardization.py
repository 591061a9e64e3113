"""Bringing pixels to a common scale."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Standardization:
    """Brings each channel to mean 0 and standard deviation 1: what is left of whitening without mixing pixels.

    Attributes:
        mean: of each channel, in units of the stored pixels (0 to 255).
        deviation: standard deviation of each channel, in the same units.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, images: Tensor) -> "Standardization":
        """That of images, uint8, (samples, channels, height, width)."""
        # From counts of the 256 values: exact, and without a copy of the images as floats.
        values = torch.arange(256, dtype=torch.float64)
        means, deviations = [], []
        for channel in range(images.shape[1]):
            counts = torch.bincount(images[:, channel].flatten(), minlength=256).double()
            mean = (counts @ values / counts.sum()).item()
            variance = (counts @ (values - mean).square() / counts.sum()).item()
            means.append(mean)
            deviations.append(variance**0.5 or 1.0)  # a channel of one value becomes 0
        return cls(tuple(means), tuple(deviations))

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """A function from uint8 images on `device` to standardised float32 images."""
        mean = torch.tensor(self.mean, device=device)[:, None, None]
        deviation = torch.tensor(self.deviation, device=device)[:, None, None]
        return lambda images: (images.float() - mean) / deviation
