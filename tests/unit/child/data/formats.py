"""Writes small data sets in every format, as they are distributed."""

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def samples(count: int, classes: int, shape: tuple[int, ...], seed: int) -> tuple[Bytes, Bytes]:
    """Random images, and labels in which every class occurs equally often."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, size=(count, *shape), dtype=np.uint8)
    return images, (np.arange(count) % classes).astype(np.uint8)


def write_npz(folder: Path) -> Path:
    x_train, y_train = samples(60, 3, (6, 5), seed=1)
    x_test, y_test = samples(12, 3, (6, 5), seed=2)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.npz"
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def idx_bytes(array: Bytes) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(folder: Path, compress: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, count, seed in (("train", 60, 1), ("t10k", 12, 2)):
        images, labels = samples(count, 3, (6, 5), seed)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{name}-{kind}-ubyte"
            if compress:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx_bytes(array)))
            else:
                path.write_bytes(idx_bytes(array))
    return folder


def write_cifar10_binary(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        images, labels = samples(20, 10, (3072,), seed)
        (folder / f"{name}.bin").write_bytes(np.concatenate([labels[:, None], images], axis=1).tobytes())
    (folder / "batches.meta.txt").write_text("airplane\n")
    return folder


def write_cifar10_python(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        images, labels = samples(20, 10, (3072,), seed)
        batch = {b"batch_label": b"one", b"labels": labels.tolist(), b"data": images, b"filenames": [b"a.png"] * 20}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def write_image_folder(folder: Path, size: tuple[int, int] = (6, 5), test: str = "test") -> Path:
    for part, count, seed in (("train", 12, 1), (test, 6, 2)):
        images, labels = samples(count, 3, (*size, 3), seed)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / part / "abc"[label] / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return folder


# Name: how it is written, its shape, its number of classes, of training images and of test images.
FORMATS: dict[str, tuple[Callable[[Path], Path], tuple[int, int, int], int, int, int]] = {
    "NPZ": (write_npz, (1, 6, 5), 3, 60, 12),
    "IDX": (write_idx, (1, 6, 5), 3, 60, 12),
    "IDX, not compressed": (lambda folder: write_idx(folder, compress=False), (1, 6, 5), 3, 60, 12),
    "CIFAR10, binary": (write_cifar10_binary, (3, 32, 32), 10, 100, 20),
    "CIFAR10, python": (write_cifar10_python, (3, 32, 32), 10, 100, 20),
    "ImageFolder": (write_image_folder, (3, 6, 5), 3, 12, 6),
}
