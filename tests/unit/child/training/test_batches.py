"""Batches hold every sample once; augmentation moves and mirrors whole images and nothing else."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nas_child.data.reading import LabelledImages
from nas_child.training.batches import Batches, augment

CPU = torch.device("cpu")


def numbered(count: int) -> LabelledImages:
    """Images that tell which sample they are."""
    images = torch.arange(count).to(torch.uint8)[:, None, None, None].expand(count, 1, 2, 2).contiguous()
    return LabelledImages(images, torch.arange(count), classes=count)


@given(count=st.integers(1, 200), batch_size=st.integers(1, 64), seed=st.integers(0, 2**64 - 1))
def test_an_epoch_has_every_sample_once_in_batches_of_nearly_equal_size(count: int, batch_size: int, seed: int) -> None:
    batches = Batches(numbered(count), batch_size, CPU)
    seen = list(batches.shuffled(torch.Generator().manual_seed(seed)))
    sizes = [len(labels) for _, labels in seen]
    assert len(sizes) == batches.count == -(-count // batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert sorted(torch.cat([labels for _, labels in seen]).tolist()) == list(range(count))
    assert all(torch.equal(images[:, 0, 0, 0].long(), labels) for images, labels in seen)


def test_the_order_depends_on_the_seed_alone_and_differs_from_epoch_to_epoch() -> None:
    def order(generator: torch.Generator) -> list[int]:
        return torch.cat([labels for _, labels in Batches(numbered(50), 8, CPU).shuffled(generator)]).tolist()

    one, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    first, second = order(one), order(one)
    assert [order(other), order(other)] == [first, second]
    assert first != second
    assert order(torch.Generator().manual_seed(2)) != first


@pytest.mark.parametrize(("augmentation", "mirrors"), [("Crop", False), ("CropFlip", True)])
def test_augmentation_shifts_by_up_to_an_eighth_and_mirrors_half(augmentation: str, mirrors: bool) -> None:
    height, width, count = 16, 8, 2000
    image = torch.arange(1, height * width + 1).float().view(1, height, width)
    padded = torch.nn.functional.pad(image, (1, 1, 2, 2))
    expected = {}
    for top in range(5):
        for left in range(3):
            cut = padded[:, top : top + height, left : left + width]
            expected[cut.numpy().tobytes()] = (top, left, False)
            if mirrors:
                expected[cut.flip(2).contiguous().numpy().tobytes()] = (top, left, True)
    augmented = augment(image.expand(count, 1, height, width), augmentation, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    kinds = Counter(expected[one.contiguous().numpy().tobytes()] for one in augmented)  # KeyError: something else
    assert len(kinds) == len(expected)
    assert min(kinds.values()) > count / len(expected) / 2  # all about equally often


def test_without_augmentation_images_stay_as_they_are() -> None:
    images = torch.randn(3, 1, 4, 4)
    assert augment(images, "None", torch.Generator()) is images
