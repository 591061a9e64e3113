"""Texts for a search, and the test text, which is kept from it.

A search learns from the training text and is rewarded on the validation text: `load_search_text` opens no test file.
Only the final training of a chosen architecture calls `load_test_text`.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from nas_api.spec.trainer import BUILT_IN_TEXT, Dataset, LanguageModel
from torch import Tensor

from nas_child.data import python_reference, text_files
from nas_child.data.fetch import fetch
from nas_child.data.reading import descend
from nas_child.data.text_files import TextPart
from nas_child.data.vocabulary import Vocabulary
from nas_child.task import TaskError


class TextDivision(NamedTuple):
    """What a language model learns from, and what it is measured on.

    Attributes:
        training: what it learns from, int64, (tokens,).
        validation: what it is measured on after each epoch, likewise.
        vocabulary: of the training text.
        description: where the texts come from, how long they are, and a digest of them, in a line.
    """

    training: Tensor
    validation: Tensor
    vocabulary: Vocabulary
    description: str


def load_search_text(dataset: Dataset, settings: LanguageModel, cache: Path) -> TextDivision:
    """The training and the validation text of `dataset`. No test file is opened.

    Args:
        dataset: `spec.trainer.dataset`.
        settings: `spec.trainer.languageModel`: what a token is, and how many there are.
        cache: a directory for copies of remote data and of unpacked archives.

    Raises:
        TaskError: the data is missing, no text, or too little.
    """
    texts = [_read(dataset, settings, cache, part) for part in ("train", "valid")]
    vocabulary = Vocabulary.of(texts[0], settings.level, settings.max_vocabulary)
    training, validation = map(vocabulary.encode, texts)
    where = python_reference.description() if dataset.path == BUILT_IN_TEXT else dataset.path
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    description = (
        f"{where}: {settings.level.lower()}, {len(training):,} for training, {len(validation):,} for validation, "
        f"{len(vocabulary):,} different, SHA-256 {digest}..."
    )
    return TextDivision(training, validation, vocabulary, description)


def load_test_text(dataset: Dataset, settings: LanguageModel, cache: Path, vocabulary: Vocabulary) -> Tensor:
    """The test text of `dataset`, int64, (tokens,).

    Raises:
        TaskError: the data is missing, no text, or too little.
    """
    return vocabulary.encode(_read(dataset, settings, cache, "test"))


def _read(dataset: Dataset, settings: LanguageModel, cache: Path, part: TextPart) -> str:
    if dataset.path == BUILT_IN_TEXT:
        return python_reference.read(part, words=settings.level == "Words")
    root = descend(fetch(dataset.path, cache))
    fraction = dataset.validation_fraction
    if root.is_file():
        parts: dict[TextPart, tuple[float, float]] = {
            "train": (0, 1 - 2 * fraction),
            "valid": (1 - 2 * fraction, 1 - fraction),
            "test": (1 - fraction, 1),
        }
        return _piece(root, part, *parts[part])
    # Without a validation text the end of the training text is held out.
    files: dict[TextPart, Path | None] = {name: text_files.find(root, name) for name in ("train", "valid", "test")}
    file = files[part]
    if part == "train" and file is not None and files["valid"] is None:
        return _piece(file, part, 0, 1 - fraction)
    if part == "valid" and file is None and files["train"] is not None:
        return _piece(files["train"], part, 1 - fraction, 1)
    if file is None:
        names = sorted(entry.name for entry in root.iterdir())
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise TaskError(f"{root}: no {part} text in this folder (it holds {shown or 'nothing'}); {text_files.EXPECTED}")
    return text_files.read(file)


def _piece(file: Path, part: TextPart, begin: float, end: float) -> str:
    """What stands between two fractions of a text."""
    text = text_files.read(file)
    piece = text[round(len(text) * begin) : round(len(text) * end)] if begin >= 0 and end > 0 else ""
    if not piece.strip():
        raise TaskError(f"{file}: nothing is left for the {part} text (trainer.dataset.validationFraction)")
    return piece
