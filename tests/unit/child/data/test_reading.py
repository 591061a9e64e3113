"""Every format is recognised and read, and what cannot be used is refused in words that name the file."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from nas_api.spec.trainer import Dataset
from nas_child.data.reading import LabelledImages, read
from nas_child.task import TaskError
from PIL import Image

from tests.unit.child.data.formats import (
    FORMATS,
    idx_bytes,
    samples,
    write_cifar10_binary,
    write_cifar10_python,
    write_idx,
    write_image_folder,
    write_npz,
)


def read_both(path: Path, cache: Path, **settings: object) -> tuple[LabelledImages, LabelledImages]:
    dataset = Dataset.model_validate({"path": str(path), **settings})
    return read(dataset, "train", cache), read(dataset, "test", cache)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised_by_its_names(name: str, tmp_path: Path) -> None:
    write, shape, classes, train_count, test_count = FORMATS[name]
    train, test = read_both(write(tmp_path / "data"), tmp_path / "cache")
    assert (train.shape, train.classes, len(train)) == (shape, classes, train_count)
    assert (test.shape, test.classes, len(test)) == (shape, classes, test_count)
    assert train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64
    assert train.images.shape == (train_count, *shape)


def test_digits_are_built_in(tmp_path: Path) -> None:
    train, test = read_both(Path("digits"), tmp_path)
    assert (len(train), len(test), train.shape, train.classes) == (1500, 297, (1, 8, 8), 10)
    assert int(train.images.max()) == 255
    together = torch.cat([train.images, test.images]).flatten(1)
    assert len({image.numpy().tobytes() for image in together}) == 1797  # no image is in both
    assert torch.bincount(test.labels).min() >= 28


def test_pixels_and_labels_are_those_of_the_file(tmp_path: Path) -> None:
    images, labels = samples(20, 10, (3072,), seed=0)  # of data_batch_1
    for write in (write_cifar10_binary, write_cifar10_python):
        train, _ = read_both(write(tmp_path / write.__name__), tmp_path)
        assert np.array_equal(train.images[:20], images.reshape(20, 3, 32, 32))
        assert np.array_equal(train.labels[:20], labels)
    images, labels = samples(60, 3, (6, 5), seed=1)
    for path in (write_npz(tmp_path), write_idx(tmp_path / "idx")):
        train, _ = read_both(path, tmp_path)
        assert np.array_equal(train.images[:, 0], images)
        assert np.array_equal(train.labels, labels)


def test_floats_from_0_to_1_become_bytes(tmp_path: Path) -> None:
    images, labels = samples(60, 3, (6, 5), seed=1)
    np.savez(tmp_path / "a.npz", x_train=images / 255, y_train=labels, x_test=images / 255, y_test=labels[:, None])
    train, test = read_both(tmp_path / "a.npz", tmp_path)
    assert np.array_equal(train.images[:, 0], images)
    assert np.array_equal(test.labels, labels)


@pytest.mark.parametrize("layout", ["channels last", "channels second"])
def test_npz_images_may_have_their_channels_last_or_second(layout: str, tmp_path: Path) -> None:
    images, labels = samples(60, 3, (3, 6, 5), seed=1)
    stored = images.transpose(0, 2, 3, 1) if layout == "channels last" else images
    np.savez(tmp_path / "a.npz", train_images=stored, train_labels=labels)
    train = read(Dataset(path=str(tmp_path / "a.npz")), "train", tmp_path)
    assert np.array_equal(train.images, images)


def test_an_image_folder_is_resized_and_cropped_to_the_centre(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        image = np.zeros((40, 80, 3), np.uint8)
        image[:, 20:60] = 200  # the centre square of a wide image
        Image.fromarray(image).save(folder / "wide.png")
        Image.new("L", (30, 30), 200).save(folder / "grey.png")
    train = read(Dataset(path=str(tmp_path), image_size=10), "train", tmp_path)
    assert train.shape == (3, 10, 10)
    assert bool((train.images[:, :, :, 1:9] == 200).all())


def test_val_is_the_test_set_of_an_image_folder_without_test(tmp_path: Path) -> None:
    _, test = read_both(write_image_folder(tmp_path, test="val"), tmp_path)
    assert len(test) == 6


# What a user can get wrong: how the data is spoilt, and what the message must say.
Spoil = Callable[[Path], Path]


def spoilt_npz(**arrays: object) -> Spoil:
    def spoil(folder: Path) -> Path:
        images, labels = samples(60, 3, (6, 5), seed=1)
        np.savez(folder / "a.npz", **({"x_train": images, "y_train": labels} | arrays))  # type: ignore[arg-type]
        return folder / "a.npz"

    return spoil


def other_names(folder: Path) -> Path:
    np.savez(folder / "a.npz", images=floats)
    return folder / "a.npz"


def edited(write: Callable[[Path], Path], name: str, edit: Callable[[bytes], bytes]) -> Spoil:
    def spoil(folder: Path) -> Path:
        root = write(folder / "data")
        file = root / name if root.is_dir() else root
        file.write_bytes(edit(file.read_bytes()))
        return root

    return spoil


def without(write: Callable[[Path], Path], name: str) -> Spoil:
    def spoil(folder: Path) -> Path:
        root = write(folder)
        (root / name).unlink()
        return root

    return spoil


def file_of(name: str, content: bytes) -> Spoil:
    def spoil(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return spoil


def plain_idx(folder: Path) -> Path:
    return write_idx(folder, compress=False)


def empty_class(folder: Path) -> Path:
    (write_image_folder(folder) / "train" / "d").mkdir()
    return folder


def one_class(folder: Path) -> Path:
    write_image_folder(folder)
    shutil.rmtree(folder / "train" / "b")
    shutil.rmtree(folder / "train" / "c")
    return folder


def sizes_differ(folder: Path) -> Path:
    write_image_folder(folder)
    Image.new("RGB", (9, 9)).save(folder / "train" / "c" / "odd.png")
    return folder


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("exit 0",))


floats = samples(60, 3, (6, 5), seed=1)[0] / 255
with_nan = floats.copy()
with_nan[3, 2, 1] = np.nan
labels = samples(60, 3, (6, 5), seed=1)[1].astype(np.int64)

SPOILT: dict[str, tuple[Spoil, str]] = {
    "missing": (lambda folder: folder / "nowhere", r"nowhere: no such file or folder"),
    "empty folder": (lambda folder: folder, r"the folder is empty; expected one of: CIFAR-10 batches"),
    "unknown folder": (
        lambda f: file_of("notes.txt", b"")(f).parent,
        r"no data set in this folder \(it holds notes.txt\)",
    ),
    "unknown file": (file_of("data.csv", b"1,2"), r"data.csv: this file is no data set"),
    "npz: no zip file": (file_of("a.npz", b"hello"), r"a.npz: not a readable .npz file"),
    "npz: empty": (file_of("a.npz", b""), r"a.npz: not a readable .npz file"),
    "npz: other names": (other_names, r"no arrays x_train and y_train or train_images and train_labels; it has images"),
    "npz: pickled objects": (spoilt_npz(x_train=np.array([None] * 60)), r"not a readable .npz file: Object arrays"),
    "npz: counts differ": (spoilt_npz(y_train=labels[:59]), r"a.npz: 60 images but 59 labels"),
    "npz: negative label": (spoilt_npz(y_train=labels - 1), r"label -1 is negative"),
    "npz: label out of range": (
        spoilt_npz(y_train=np.where(labels == 2, 255, labels)),
        r"no image has label 2.*255 is out",
    ),
    "npz: labels from 1": (spoilt_npz(y_train=labels + 1), r"no image has label 0"),
    "npz: one class": (spoilt_npz(y_train=labels * 0), r"all labels are 0: two classes are needed"),
    "npz: NaN": (spoilt_npz(x_train=with_nan), r"x_train has pixels that are NaN or infinite"),
    "npz: pixels out of range": (spoilt_npz(x_train=floats * 300), r"pixels from 0.0 to 300.0; they must lie between"),
    "npz: standardised pixels": (spoilt_npz(x_train=floats - 0.5), r"x_train has pixels from -0.5 to 0.5"),
    "npz: misshapen": (spoilt_npz(x_train=floats.reshape(60, 30)), r"x_train has the shape \(60, 30\)"),
    "npz: one-hot labels": (spoilt_npz(y_train=np.eye(3)[labels]), r"y_train has the shape \(60, 3\); labels are"),
    "npz: text labels": (spoilt_npz(y_train=labels.astype(str)), r"y_train is of type <U\d+; labels are integers"),
    "npz: no images": (spoilt_npz(x_train=floats[:0], y_train=labels[:0]), r"it is empty"),
    "idx: wrong magic": (
        edited(plain_idx, "train-images-idx3-ubyte", lambda b: b"\x00\x00\x0d\x03" + b[4:]),
        r"train-images-idx3-ubyte: no IDX file of bytes in 3 dimensions: it begins with 00000d03, not 00000803",
    ),
    "idx: truncated": (
        edited(plain_idx, "train-images-idx3-ubyte", lambda b: b[:-1]),
        r"train-images-idx3-ubyte: truncated: 1815 bytes where the header announces 1816",
    ),
    "idx: truncated header": (edited(plain_idx, "train-images-idx3-ubyte", lambda b: b[:6]), r"truncated: 6 bytes"),
    "idx: too long": (edited(plain_idx, "train-images-idx3-ubyte", lambda b: b + b"x"), r"corrupt: 1817 bytes"),
    "idx: empty": (edited(plain_idx, "train-images-idx3-ubyte", lambda b: b""), r"idx3-ubyte: the file is empty"),
    "idx: truncated gzip": (
        edited(write_idx, "train-images-idx3-ubyte.gz", lambda b: b[:-20]),
        r"train-images-idx3-ubyte.gz: cannot be read",
    ),
    "idx: no gzip": (edited(write_idx, "train-images-idx3-ubyte.gz", lambda b: b"hello"), r"ubyte.gz: cannot be read"),
    "idx: no labels": (
        without(write_idx, "train-labels-idx1-ubyte.gz"),
        r"train-images-idx3-ubyte.gz has no labels: expected train-labels-idx1-ubyte",
    ),
    "idx: counts differ": (
        edited(plain_idx, "train-labels-idx1-ubyte", lambda b: idx_bytes(np.arange(59, dtype=np.uint8) % 3)),
        r"60 images but 59 labels",
    ),
    "cifar10: batch missing": (
        without(write_cifar10_binary, "data_batch_3.bin"),
        r"data_batch_3.bin is missing; there are data_batch_1.bin, data_batch_2.bin, data_batch_4.bin",
    ),
    "cifar10: truncated": (
        edited(write_cifar10_binary, "data_batch_2.bin", lambda b: b[:-1]),
        r"data_batch_2.bin: truncated or corrupt: 61459 bytes",
    ),
    "cifar10: empty": (
        edited(write_cifar10_binary, "data_batch_2.bin", lambda b: b""),
        r"batch_2.bin: the file is empty",
    ),
    "cifar10: label out of range": (
        edited(write_cifar10_binary, "data_batch_2.bin", lambda b: b"\x0a" + b[1:]),
        r"label 10 is out of range: the 10 classes are 0 to 9",
    ),
    "cifar10: truncated pickle": (
        edited(write_cifar10_python, "data_batch_2", lambda b: b[:-1000]),
        r"data_batch_2: not a readable batch",
    ),
    "cifar10: pickle of something else": (
        edited(write_cifar10_python, "data_batch_2", lambda b: pickle.dumps([1, 2])),
        r"data_batch_2: not a batch of CIFAR-10: it holds no dictionary",
    ),
    "cifar10: no data in the pickle": (
        edited(write_cifar10_python, "data_batch_2", lambda b: pickle.dumps({"labels": [1]})),
        r"'data' is no array of bytes",
    ),
    "cifar10: pickle that runs a program": (
        edited(write_cifar10_python, "data_batch_2", lambda b: pickle.dumps(Malicious())),
        r"data_batch_2: not a readable batch: UnpicklingError: it wants posix.system",
    ),
    "image folder: empty class": (empty_class, r"train/d: no images"),
    "image folder: one class": (one_class, r"all labels are 0: two classes are needed"),
    "image folder: corrupt image": (
        edited(write_image_folder, "train/b/01.png", lambda b: b[:40]),
        r"train/b/01.png: not a readable image",
    ),
    "image folder: sizes differ": (
        sizes_differ,
        r"odd.png has 9x9 pixels, but .* has 5x6: set trainer.dataset.imageSize",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_unusable_data_is_refused_in_words(name: str, tmp_path: Path) -> None:
    spoil, message = SPOILT[name]
    folder = tmp_path / "here"
    folder.mkdir()
    path = spoil(folder)
    with pytest.raises(TaskError, match=message) as caught:
        read(Dataset(path=str(path)), "train", tmp_path / "cache")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_npz_file_is_refused(cut: float, tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(TaskError, match=r"small.npz: not a readable .npz file"):
        read(Dataset(path=str(path)), "train", tmp_path)


def test_a_damaged_npz_file_is_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[500] ^= 0xFF  # in the pixels of x_train: the checksum of the zip file finds it
    path.write_bytes(content)
    with pytest.raises(TaskError, match=r"not a readable .npz file: Bad CRC-32"):
        read(Dataset(path=str(path)), "train", tmp_path)


@pytest.mark.parametrize("named", ["CIFAR10", "IDX"])
def test_a_format_that_is_named_must_be_there(named: str, tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    with pytest.raises(TaskError, match=f"not a folder, and format {named} is"):
        read(Dataset.model_validate({"path": str(path), "format": named}), "train", tmp_path)
