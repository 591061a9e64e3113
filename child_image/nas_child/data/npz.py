"""`.npz` files: NumPy arrays under the names of Keras (x_train, y_train, ...) or MedMNIST (train_images, ...)."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_child.data.part import Arrays, Part
from nas_child.task import TaskError

NAMES: dict[Part, tuple[tuple[str, str], ...]] = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}


def read(path: Path, part: Part) -> Arrays:
    """Reads one part. The arrays of the other are not touched.

    Images are (samples, height, width) or (samples, height, width, channels) or (samples, channels, height, width), as
    integers from 0 to 255 or as floats from 0 to 1 or from 0 to 255.

    Raises:
        TaskError: the file is missing or corrupt, or an array is missing, misshapen or out of range.
    """
    if not path.is_file():
        raise TaskError(f"{path}: not a file, and format NPZ is one .npz file")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for image_name, label_name in NAMES[part]:
                if image_name in arrays.files and label_name in arrays.files:
                    images, labels = arrays[image_name], arrays[label_name]
                    break
            else:
                expected = " or ".join(f"{i} and {k}" for i, k in NAMES[part])
                raise TaskError(f"{path}: no arrays {expected}; it has {', '.join(arrays.files) or 'none'}")
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        NotImplementedError,
    ) as error:
        raise TaskError(f"{path}: not a readable .npz file: {error}") from error
    return Arrays(_pixels(images, f"{path}: {image_name}"), _labels(labels, f"{path}: {label_name}"), path)


def _pixels(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3, 4):
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise TaskError(
            f"{where} has the shape {images.shape}; images are (samples, height, width), or that with 1, 3 or 4 "
            f"channels last or second"
        )
    if 0 in images.shape:
        raise TaskError(f"{where} has the shape {images.shape}: it is empty")
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "iuf":
        raise TaskError(f"{where} is of type {images.dtype}; images are integers or floats")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise TaskError(f"{where} has pixels that are NaN or infinite")
    low, high = images.min(), images.max()
    if low < 0 or high > 255:
        raise TaskError(f"{where} has pixels from {low} to {high}; they must lie between 0 and 255, or 0 and 1")
    scale = 255 if images.dtype.kind == "f" and high <= 1 else 1
    return np.ascontiguousarray(np.rint(images * scale).astype(np.uint8))


def _labels(labels: NDArray[Any], where: str) -> NDArray[np.integer[Any]]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise TaskError(
            f"{where} has the shape {labels.shape}; labels are (samples,): the number of each image's class"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise TaskError(f"{where} has labels that are NaN or infinite")
    if labels.dtype.kind not in "iu" and not (labels.dtype.kind == "f" and (labels == np.rint(labels)).all()):
        raise TaskError(f"{where} is of type {labels.dtype}; labels are integers")
    return labels.astype(np.int64)
