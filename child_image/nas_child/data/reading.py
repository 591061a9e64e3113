"""From `spec.trainer.dataset` to images: fetch, recognise the format, read, check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from nas_api.architectures import ImageShape
from nas_api.spec.trainer import BUILT_IN_IMAGES, Dataset
from torch import Tensor

from nas_child.data import cifar10, idx, image_folder, npz
from nas_child.data.fetch import fetch
from nas_child.data.part import Arrays, Part
from nas_child.task import TaskError

DIGITS = Path(__file__).parent / "digits.npz"
"""1,797 handwritten digits of 8x8 pixels, 297 of them for the test (see tools/make_digits.py)."""

Format = Literal["CIFAR10", "IDX", "NPZ", "ImageFolder"]
EXPECTED = (
    "expected one of: CIFAR-10 batches (data_batch_1 or data_batch_1.bin), IDX files (train-images-idx3-ubyte[.gz]), "
    "an .npz file (x_train, y_train, x_test, y_test), a folder train/ with a folder of images for each class"
)


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Images and their classes.

    Attributes:
        images: uint8, (samples, channels, height, width).
        labels: int64, (samples,), from 0 to `classes` - 1.
        classes: number of classes.
    """

    images: Tensor
    labels: Tensor
    classes: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> ImageShape:
        """The shape of one image."""
        return ImageShape(*self.images.shape[1:])

    def select(self, indices: Tensor) -> "LabelledImages":
        """A copy of the samples at `indices`, in their order."""
        return LabelledImages(self.images[indices], self.labels[indices], self.classes)


def read(dataset: Dataset, part: Part, cache: Path) -> LabelledImages:
    """The training or the test part of a data set. Files of the other part are not opened.

    Raises:
        TaskError: the data is missing, corrupt or unusable; the message says where and what.
    """
    if dataset.path == BUILT_IN_IMAGES:
        arrays = npz.read(DIGITS, part)
    else:
        root = descend(fetch(dataset.path, cache))
        match dataset.format if dataset.format != "Auto" else detect(root):
            case "CIFAR10":
                arrays = cifar10.read(root, part)
            case "IDX":
                arrays = idx.read(root, part)
            case "NPZ":
                arrays = npz.read(root, part)
            case "ImageFolder":
                arrays = image_folder.read(root, part, dataset.image_size)
    return _check(arrays, part)


def descend(root: Path) -> Path:
    """The folder in which the data lies: archives often hold one folder that holds it all."""
    while root.is_dir():
        entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
        if len(entries) != 1 or not (entries[0].is_dir() or entries[0].suffix == ".npz") or entries[0].name == "train":
            break
        root = entries[0]
    return root


def detect(root: Path) -> Format:
    """The format of the data at `root`, by the names of its files.

    Raises:
        TaskError: it is none that we know.
    """
    if root.is_file():
        if root.suffix == ".npz":
            return "NPZ"
        raise TaskError(f"{root}: this file is no data set; {EXPECTED}")
    names = sorted(entry.name for entry in root.iterdir())
    if not names:
        raise TaskError(f"{root}: the folder is empty; {EXPECTED}")
    if any(name.startswith("data_batch_") for name in names):
        return "CIFAR10"
    if any(idx.is_images(name, "train") for name in names):
        return "IDX"
    if "train" in names:
        return "ImageFolder"
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise TaskError(f"{root}: no data set in this folder (it holds {shown}); {EXPECTED}")


def _check(arrays: Arrays, part: Part) -> LabelledImages:
    """Checks that hold for every format."""
    images, labels, where = arrays.images, arrays.labels, arrays.where
    if len(images) != len(labels):
        raise TaskError(f"{where}: {len(images)} images but {len(labels)} labels")
    if not len(images):
        raise TaskError(f"{where}: no images")
    if labels.min() < 0:
        raise TaskError(f"{where}: label {labels.min()} is negative: labels run from 0 to the number of classes - 1")
    count = arrays.classes
    if count is not None and labels.max() >= count:
        raise TaskError(f"{where}: label {labels.max()} is out of range: the {count} classes are 0 to {count - 1}")
    present = np.unique(labels)
    classes = count or int(present[-1]) + 1
    if part == "train":
        if len(present) < 2:
            raise TaskError(f"{where}: all labels are {present[0]}: two classes are needed at least")
        if len(present) < classes:
            missing = next(label for label in range(classes) if label not in present)
            raise TaskError(
                f"{where}: labels go up to {classes - 1}, but no image has label {missing}. Label {classes - 1} is out "
                f"of range, or the classes must be numbered from 0 without gaps"
            )
    return LabelledImages(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)), classes)
