"""The two ways to divide a data set.

A search trains on one part of the training set and is rewarded on the other: `load_search_data` opens no test file.
Only the final training of a chosen architecture, `load_final_data` and `load_test_data`, reads the test set.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from nas_api.architectures import ImageShape
from nas_api.spec.trainer import Dataset
from torch import Tensor

from nas_child.data.reading import LabelledImages, read
from nas_child.data.standardization import Standardization
from nas_child.task import TaskError


class Division(NamedTuple):
    """What a network learns from, and what it is measured on.

    Attributes:
        training: what it learns from.
        evaluation: what it is measured on, after each epoch.
        standardization: of the pixels, by what `training` alone looks like.
    """

    training: LabelledImages
    evaluation: LabelledImages
    standardization: Standardization

    @classmethod
    def of(cls, training: LabelledImages, evaluation: LabelledImages) -> "Division":
        """The division with the standardisation of its training images."""
        return cls(training, evaluation, Standardization.of(training.images))

    def reduced(self, fraction: float) -> "Division":
        """The division with a part of the training samples, at least one: the same part each time."""
        if fraction == 1:
            return self
        samples = len(self.training)
        kept = torch.randperm(samples, generator=torch.Generator().manual_seed(0))[: max(1, round(fraction * samples))]
        return self._replace(training=self.training.select(kept.sort().values))


def load_search_data(dataset: Dataset, seed: int, cache: Path) -> Division:
    """The training set of `dataset`, divided into training and validation samples. No test file is opened.

    Args:
        dataset: `spec.trainer.dataset`.
        seed: which samples are held out.
        cache: a directory for copies of remote data and of unpacked archives.

    Raises:
        TaskError: the data is missing, corrupt or too little.
    """
    samples = read(dataset, "train", cache)
    training, validation = split(samples.labels, dataset.validation_fraction, seed)
    if not len(validation) or not len(training):
        raise TaskError(
            f"{dataset.path}: {len(samples)} training images, too few to hold {dataset.validation_fraction:g} of each "
            f"class out for validation (trainer.dataset.validationFraction)"
        )
    return Division.of(samples.select(training), samples.select(validation))


def load_final_data(dataset: Dataset, cache: Path) -> Division:
    """The whole training set of `dataset`, validation samples included, and its test set.

    Raises:
        TaskError: the data is missing or corrupt, or the two do not belong together.
    """
    training = read(dataset, "train", cache)
    return Division.of(training, load_test_data(dataset, training, cache))


def load_test_data(dataset: Dataset, training: LabelledImages, cache: Path) -> LabelledImages:
    """The test set of `dataset`, as it goes with a training set.

    Raises:
        TaskError: it is missing or corrupt, or does not belong to `training`.
    """
    test = read(dataset, "test", cache)
    if test.shape != training.shape:
        raise TaskError(
            f"{dataset.path}: test images are {_words(test.shape)}, training images {_words(training.shape)}"
        )
    if test.classes > training.classes:
        raise TaskError(
            f"{dataset.path}: label {test.classes - 1} of the test set is out of range: the training set has the "
            f"labels 0 to {training.classes - 1}"
        )
    return LabelledImages(test.images, test.labels, training.classes)


def split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of training and of validation samples: every class is divided alike, at random by `seed`.

    Of a class with n samples, `fraction` * n, rounded, go to validation, but at least one and never all.
    """
    generator = torch.Generator().manual_seed(seed)
    training, validation = [], []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        held_out = min(max(round(fraction * len(members)), 1), len(members) - 1)
        validation.append(shuffled[:held_out])
        training.append(shuffled[held_out:])
    return torch.cat(training).sort().values, torch.cat(validation).sort().values


def _words(shape: ImageShape) -> str:
    return f"{shape.channels}x{shape.height}x{shape.width} (channels x height x width)"
