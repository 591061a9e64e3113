"""Batches made on the device: samples are picked, standardised and augmented as whole tensors, by no other process."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from nas_child.data.reading import LabelledImages

Augmentation = Literal["None", "Crop", "CropFlip"]


class Batches:
    """The batches of a set of images, on a device."""

    def __init__(self, data: LabelledImages, batch_size: int, device: torch.device) -> None:
        self.samples = len(data)
        self.count = -(-len(data) // batch_size)  # of batches in an epoch
        self.device = device
        # Images stay on the device where they leave half of its memory to the network.
        self.resident = device.type == "cpu" or data.images.nbytes < torch.cuda.mem_get_info(device)[0] / 2
        self.images = data.images.to(device) if self.resident else data.images
        self.labels = data.labels.to(device) if self.resident else data.labels

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All samples once, as (images, labels): uint8 (batch, channels, height, width) and int64 (batch,)."""
        return self._at(torch.arange(self.samples))

    def shuffled(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """All samples once, in random order."""
        return self._at(torch.randperm(self.samples, generator=generator))

    def _at(self, indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        # Sizes differ by one at most: the last batch is no remainder of a few samples, whose statistics would be poor.
        for batch in indices.tensor_split(self.count):
            if self.resident:
                batch = batch.to(self.device, non_blocking=True)
                yield self.images.index_select(0, batch), self.labels.index_select(0, batch)
            else:
                images = self.images.index_select(0, batch).pin_memory().to(self.device, non_blocking=True)
                yield images, self.labels.index_select(0, batch).to(self.device, non_blocking=True)


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Randomly shifted and mirrored images (paper, section 4.1).

    Crop: an eighth of the height and width is added on every side, zeros, that is the mean colour, and a part of the
    former size is cut out at random. CropFlip: half of the images are mirrored, too.

    Args:
        images: standardised, (batch, channels, height, width).
        augmentation: what to do.
        generator: on the CPU, so that the choices do not depend on the device.
    """
    if augmentation == "None":
        return images
    batch, channels, height, width = images.shape
    pad_y, pad_x = max(height // 8, 1), max(width // 8, 1)
    top = torch.randint(2 * pad_y + 1, (batch, 1), generator=generator)
    left = torch.randint(2 * pad_x + 1, (batch, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    if augmentation == "CropFlip":
        mirrored = torch.rand((batch, 1), generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns = (index.to(images.device, non_blocking=True) for index in (rows, columns))
    padded = torch.nn.functional.pad(images, (pad_x, pad_x, pad_y, pad_y))
    samples = torch.arange(batch, device=images.device)[:, None, None, None]
    depth = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[samples, depth, rows[:, None, :, None], columns[:, None, None, :]]
