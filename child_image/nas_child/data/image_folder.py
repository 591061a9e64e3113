"""ImageFolder: `train/` and `val/` or `test/`, in each a folder for every class, in it the images of the class."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from nas_child.data.part import Arrays, Part
from nas_child.task import TaskError

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_FOLDERS: dict[Part, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}


def read(root: Path, part: Part, image_size: int | None) -> Arrays:
    """Reads all images of one part, as RGB. Classes have the alphabetical order of their folders in `train/`.

    Args:
        root: the folder that has `train/`.
        part: `test/` is the test set; where there is none, `val/` is.
        image_size: height and width to which images are resized (the shorter side) and centre-cropped. None: they are
            taken as they are, and must all be of one size.

    Raises:
        TaskError: there are no classes or no images, an image cannot be read, sizes differ, or it would all not fit
            into memory.
    """
    folder = next((root / name for name in _FOLDERS[part] if (root / name).is_dir()), None)
    if folder is None:
        raise TaskError(f"{root}: no folder {' or '.join(f'{name}/' for name in _FOLDERS[part])}")
    classes = _subfolders(root / "train")
    if not classes:
        raise TaskError(f"{root / 'train'}: no folders: expected one for each class")
    if unknown := [name for name in _subfolders(folder) if name not in classes]:
        raise TaskError(f"{folder}: class {unknown[0]!r} has no folder in {root / 'train'}")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        images = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
        if not images and part == "train":
            raise TaskError(f"{folder / name}: no images ({', '.join(sorted(EXTENSIONS))})")
        files += images
        labels += [label] * len(images)
    if not files:
        raise TaskError(f"{folder}: no images")
    first = _read_image(files[0], image_size)
    _check_memory(len(files) * first.nbytes, folder)
    pixels = np.empty((len(files), *first.shape), dtype=np.uint8)

    def fill(index: int) -> None:
        image = _read_image(files[index], image_size)
        if image.shape != first.shape:
            raise TaskError(
                f"{files[index]} has {_size(image)} pixels, but {files[0]} has {_size(first)}: set "
                f"trainer.dataset.imageSize"
            )
        pixels[index] = image

    # Pillow decodes without the lock of the interpreter. The threads have ended when this returns, before any fork.
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        list(pool.map(fill, range(len(files))))
    return Arrays(pixels, np.array(labels), folder, classes=len(classes))


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read_image(path: Path, size: int | None) -> NDArray[np.uint8]:
    """(3, height, width)."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise TaskError(f"{path}: not a readable image: {error}") from error
    if size is not None:
        # Resizes so that the image just covers the square, then crops.
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"


def _check_memory(needed: int, folder: Path) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > total:
        raise TaskError(
            f"{folder}: its images take {needed / 2**30:.1f} GiB and are held in memory; this machine has "
            f"{total / 2**30:.1f} GiB: choose a smaller trainer.dataset.imageSize"
        )
