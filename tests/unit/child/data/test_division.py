"""A search never sees a test image, and always the same validation images for one seed."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nas_api.spec.trainer import Dataset
from nas_child.data.division import load_final_data, load_search_data, split
from nas_child.task import TaskError

from tests.unit.child.data.formats import FORMATS, samples, write_idx, write_image_folder, write_npz


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31 - 1),
)
def test_the_split_is_disjoint_complete_stratified_and_fixed_by_its_seed(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    training, validation = split(labels, fraction, seed)
    assert sorted([*training.tolist(), *validation.tolist()]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        held_out = int((labels[validation] == label).sum())
        assert held_out == min(max(round(fraction * count), 1), count - 1)
    again = split(labels, fraction, seed)
    assert torch.equal(training, again[0])
    assert torch.equal(validation, again[1])


def test_another_seed_holds_other_samples_out() -> None:
    labels = torch.arange(1000) % 10
    assert not torch.equal(split(labels, 0.1, seed=0)[1], split(labels, 0.1, seed=1)[1])


def test_a_tenth_of_cifar10_is_the_paper_s_5_000_images() -> None:
    labels = torch.arange(50_000) % 10
    training, validation = split(labels, 0.1, seed=0)
    assert (len(training), len(validation)) == (45_000, 5_000)


def open_files_of(action: Any) -> set[str]:
    """The paths that Python opens during `action`."""
    opened: set[str] = set()
    watching = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching and event == "open":
            opened.add(str(args[0]))

    sys.addaudithook(hook)  # cannot be removed again
    action()
    watching = False
    return opened


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "NPZ"])
def test_a_search_opens_no_file_of_the_test_set(name: str, tmp_path: Path) -> None:
    root = FORMATS[name][0](tmp_path / "data")
    test_part = [p for p in root.rglob("*") if p.is_file() and ("t10k" in p.name or "test" in str(p.relative_to(root)))]
    assert test_part
    dataset = Dataset(path=str(root))
    searching = open_files_of(lambda: load_search_data(dataset, seed=0, cache=tmp_path))
    final = open_files_of(lambda: load_final_data(dataset, cache=tmp_path))
    assert not searching & {str(p) for p in test_part}
    assert {str(p) for p in test_part} <= final


@pytest.mark.parametrize("name", FORMATS)
def test_a_search_does_the_same_without_the_test_set(name: str, tmp_path: Path) -> None:
    root = FORMATS[name][0](tmp_path / "data")
    dataset = Dataset(path=str(root), validation_fraction=0.25)
    before = load_search_data(dataset, seed=3, cache=tmp_path)
    if root.is_file():
        with np.load(root) as arrays:
            np.savez(root, x_train=arrays["x_train"], y_train=arrays["y_train"])
    for path in list(root.rglob("*")):
        if "t10k" in path.name or path.name.startswith("test"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    after = load_search_data(dataset, seed=3, cache=tmp_path)
    for part in ("training", "evaluation"):
        assert torch.equal(getattr(before, part).images, getattr(after, part).images)
        assert torch.equal(getattr(before, part).labels, getattr(after, part).labels)
    assert before.standardization == after.standardization
    with pytest.raises(TaskError):
        load_final_data(dataset, cache=tmp_path)


def test_the_final_training_learns_from_training_and_validation_images(tmp_path: Path) -> None:
    dataset = Dataset()
    search, final = load_search_data(dataset, seed=0, cache=tmp_path), load_final_data(dataset, cache=tmp_path)
    assert len(search.training) + len(search.evaluation) == len(final.training) == 1500
    assert len(final.evaluation) == 297
    searched = torch.cat([search.training.images, search.evaluation.images])
    assert {image.numpy().tobytes() for image in searched} == {i.numpy().tobytes() for i in final.training.images}


def test_too_few_images_to_hold_some_out_are_refused(tmp_path: Path) -> None:
    images, _ = samples(2, 2, (6, 5), seed=1)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(2))
    with pytest.raises(TaskError, match=r"a.npz: 2 training images, too few to hold 0.1 of each class out"):
        load_search_data(Dataset(path=str(tmp_path / "a.npz")), seed=0, cache=tmp_path)


def test_a_test_set_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "y_test": arrays["y_test"] + 1})
    with pytest.raises(
        TaskError, match=r"label 3 of the test set is out of range: the training set has the labels 0 to 2"
    ):
        load_final_data(Dataset(path=str(path)), cache=tmp_path)


def test_a_test_set_of_other_images_is_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "x_test": arrays["x_test"][:, :4]})
    with pytest.raises(TaskError, match=r"test images are 1x4x5 .*, training images 1x6x5"):
        load_final_data(Dataset(path=str(path)), cache=tmp_path)


def test_a_missing_test_set_is_said_to_be_missing(tmp_path: Path) -> None:
    root = write_idx(tmp_path / "idx")
    (root / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(TaskError, match=r"no images of the test set: expected t10k-images-idx3-ubyte"):
        load_final_data(Dataset(path=str(root)), cache=tmp_path)
    root = write_image_folder(tmp_path / "folder")
    shutil.rmtree(root / "test")
    with pytest.raises(TaskError, match=r"no folder test/ or val/"):
        load_final_data(Dataset(path=str(root)), cache=tmp_path)


def test_a_part_of_the_training_samples_is_the_same_each_time_and_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    whole = load_search_data(Dataset(), 0, tmp_path)
    part = whole.reduced(0.25)
    assert len(part.training) == round(0.25 * len(whole.training))
    assert torch.equal(part.training.images, whole.reduced(0.25).training.images)
    assert part.evaluation is whole.evaluation
    assert part.standardization is whole.standardization
    assert whole.reduced(1.0) is whole
    assert len(whole.reduced(1e-9).training) == 1
