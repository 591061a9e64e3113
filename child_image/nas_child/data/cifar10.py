"""CIFAR-10 (A. Krizhevsky 2009) as distributed: the python version and the binary version."""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_child.data.part import Arrays, Part
from nas_child.task import TaskError

CLASSES = 10
_PIXELS = 3 * 32 * 32
_NAMES: dict[Part, str] = {"train": r"data_batch_\d+(\.bin)?", "test": r"test_batch(\.bin)?"}


def read(folder: Path, part: Part) -> Arrays:
    """Reads the five training batches, or the test batch.

    Raises:
        TaskError: a batch is missing or corrupt.
    """
    if not folder.is_dir():
        raise TaskError(f"{folder}: not a folder, and format CIFAR10 is a folder or an archive of CIFAR-10's batches")
    found = sorted(entry for entry in folder.iterdir() if re.fullmatch(_NAMES[part], entry.name))
    names = [entry.name for entry in found]
    if part == "test":
        if not found:
            raise TaskError(f"{folder}: test_batch or test_batch.bin is missing")
    elif not found:
        raise TaskError(f"{folder}: data_batch_1 to data_batch_5 (or .bin) are missing")
    else:
        suffix = found[0].suffix
        for number in range(1, 6):
            if f"data_batch_{number}{suffix}" not in names:
                raise TaskError(f"{folder}: data_batch_{number}{suffix} is missing; there are {', '.join(names)}")
    batches = [_read_binary(path) if path.suffix == ".bin" else _read_python(path) for path in found]
    images = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([labels for _, labels in batches])
    return Arrays(images, labels, folder, classes=CLASSES)


def _read_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Rows of one byte of label and 3,072 bytes of pixels."""
    content = _read_bytes(path)
    if len(content) % (1 + _PIXELS):
        raise TaskError(
            f"{path}: truncated or corrupt: {len(content)} bytes, and an image with its label has {1 + _PIXELS}"
        )
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 1:], rows[:, 0]


def _read_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """A pickled dictionary: `data` is a uint8 array (images, 3072), `labels` a list of integers."""
    try:
        batch = _Unpickler(io.BytesIO(_read_bytes(path)), encoding="bytes").load()
    except TaskError:
        raise
    except Exception as error:  # a corrupt pickle can raise anything
        raise TaskError(f"{path}: not a readable batch: {type(error).__name__}: {error}") from error
    if not isinstance(batch, dict):
        raise TaskError(f"{path}: not a batch of CIFAR-10: it holds no dictionary")
    entries = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
    images, labels = entries.get("data"), entries.get("labels")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (_PIXELS,):
        raise TaskError(f"{path}: not a batch of CIFAR-10: 'data' is no array of bytes (images, {_PIXELS})")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise TaskError(f"{path}: not a batch of CIFAR-10: 'labels' is no list of integers")
    if len(images) != len(labels):
        raise TaskError(f"{path}: {len(images)} images but {len(labels)} labels")
    return images, np.array(labels, dtype=np.int64)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not content:
        raise TaskError(f"{path}: the file is empty")
    return content


class _Unpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays and nothing else: a pickle may name any function, and unpickling would call it."""

    ALLOWED = frozenset({
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.numeric", "_frombuffer"),
        ("_codecs", "encode"),  # how Python 3 writes bytes in old protocols
    })  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which no batch of CIFAR-10 needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
