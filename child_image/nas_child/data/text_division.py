"""The two ways to divide a text, like those for images in `nas_child.data.division`.

A search learns from the training text and is rewarded on the validation text: `load_search_text` opens no test file.
Only the final training of a chosen architecture, `load_final_text`, reads the test text.
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
        evaluation: what it is measured on after each epoch, likewise.
        vocabulary: of the training text of the search, in either way to divide.
        description: where the text comes from, how long it is, and a digest of it, in a line.
    """

    training: Tensor
    evaluation: Tensor
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
    return _divide(dataset, settings, cache, [("training", ["train"]), ("validation", ["valid"])])


def load_final_text(dataset: Dataset, settings: LanguageModel, cache: Path) -> TextDivision:
    """The training text of `dataset`, the validation text after it, and the test text.

    Raises:
        TaskError: the data is missing, no text, or too little.
    """
    return _divide(dataset, settings, cache, [("training", ["train", "valid"]), ("test", ["test"])])


def _divide(
    dataset: Dataset, settings: LanguageModel, cache: Path, roles: list[tuple[str, list[TextPart]]]
) -> TextDivision:
    parts: list[TextPart] = [part for _, parts in roles for part in parts]
    texts = _read(dataset, settings, cache, parts)
    vocabulary = Vocabulary.of(texts["train"], settings.level, settings.max_vocabulary)
    training, evaluation = (vocabulary.encode("".join(texts[part] for part in parts)) for _, parts in roles)
    digest = hashlib.sha256("\0".join(texts[part] for part in parts).encode()).hexdigest()[:16]
    sizes = ", ".join(
        f"{len(tokens):,} for {role}" for (role, _), tokens in zip(roles, (training, evaluation), strict=True)
    )
    where = python_reference.description() if dataset.path == BUILT_IN_TEXT else dataset.path
    return TextDivision(
        training,
        evaluation,
        vocabulary,
        f"{where}: {settings.level.lower()}, {sizes}, {len(vocabulary):,} different, SHA-256 {digest}...",
    )


def _read(dataset: Dataset, settings: LanguageModel, cache: Path, parts: list[TextPart]) -> dict[TextPart, str]:
    """The text of each of the parts."""
    if dataset.path == BUILT_IN_TEXT:
        words = settings.level == "Words"
        return {part: python_reference.read(part, words) for part in parts}
    root = descend(fetch(dataset.path, cache))
    fraction = dataset.validation_fraction
    if root.is_file():
        whole = text_files.read(root)
        held_out = round(len(whole) * fraction)
        end, test = max(0, len(whole) - 2 * held_out), len(whole) - held_out
        return _checked(root, {"train": whole[:end], "valid": whole[end:test], "test": whole[test:]})
    texts: dict[TextPart, str] = {}
    for part in parts:
        file = text_files.find(root, part)
        if file is not None:
            texts[part] = text_files.read(file)
        elif part == "valid":  # its own end, then
            end = round(len(texts["train"]) * (1 - fraction))
            texts["train"], texts["valid"] = texts["train"][:end], texts["train"][end:]
        else:
            names = sorted(entry.name for entry in root.iterdir())
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise TaskError(
                f"{root}: no {part} text in this folder (it holds {shown or 'nothing'}); {text_files.EXPECTED}"
            )
    return _checked(root, texts)


def _checked(root: Path, texts: dict[TextPart, str]) -> dict[TextPart, str]:
    for part, text in texts.items():
        if not text.strip():
            raise TaskError(f"{root}: nothing is left for the {part} text (trainer.dataset.validationFraction)")
    return texts
