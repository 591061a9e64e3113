"""IDX files, the format of MNIST and its family (Fashion-MNIST, KMNIST, EMNIST, QMNIST), gzipped or not.

A file is a magic number (two zero bytes, the type of the values, the number of dimensions), the size of each dimension
as a big-endian 32-bit integer, and the values (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database").
"""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas_child.data.part import Arrays, Part
from nas_child.task import TaskError

_PREFIX: dict[Part, str] = {"train": "train", "test": "(t10k|test)"}
_UNSIGNED_BYTE = 0x08


def is_images(name: str, part: Part) -> bool:
    """Whether a file of this name has the images of a part: `train-images-idx3-ubyte.gz` and its like."""
    return re.search(rf"(^|-){_PREFIX[part]}-images[-.]idx3-ubyte(\.gz)?$", name) is not None


def read(folder: Path, part: Part) -> Arrays:
    """Reads the images and the labels of one part.

    Raises:
        TaskError: a file is missing, corrupt or no IDX file.
    """
    if not folder.is_dir():
        raise TaskError(f"{folder}: not a folder, and format IDX is a folder of IDX files")
    found = sorted(entry for entry in folder.iterdir() if is_images(entry.name, part))
    # The same file packed and unpacked is one data set.
    names = {entry.name.removesuffix(".gz") for entry in found}
    if not names:
        usual = "train-images-idx3-ubyte" if part == "train" else "t10k-images-idx3-ubyte"
        raise TaskError(f"{folder}: no images of the {part} set: expected {usual} or {usual}.gz")
    if len(names) > 1:
        raise TaskError(f"{folder}: several data sets ({', '.join(sorted(names))}): put each into a folder of its own")
    images = found[0]
    stem = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    labels = next((folder / name for name in (stem, f"{stem}.gz") if (folder / name).exists()), None)
    if labels is None:
        raise TaskError(f"{folder}: {images.name} has no labels: expected {stem} or {stem}.gz")
    return Arrays(_read_file(images, dimensions=3)[:, None], _read_file(labels, dimensions=1), folder)


def _read_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise TaskError(f"{path}: cannot be read: {error}") from error
    if not content:
        raise TaskError(f"{path}: the file is empty")
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise TaskError(
            f"{path}: no IDX file of bytes in {dimensions} dimensions: it begins with {content[:4].hex()}, not "
            f"{magic.hex()}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise TaskError(f"{path}: truncated: {len(content)} bytes where the header alone has {header}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) < expected:
        raise TaskError(f"{path}: truncated: {len(content)} bytes where the header announces {expected}")
    if len(content) > expected:
        raise TaskError(f"{path}: corrupt: {len(content)} bytes where the header announces {expected}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()
