"""Texts in files: a folder with one for each part, as the Penn Treebank is distributed, or one file for all."""

import re
from pathlib import Path
from typing import Literal

from nas_child.task import TaskError

TextPart = Literal["train", "valid", "test"]

EXPECTED = "expected train.txt, valid.txt and test.txt (or ptb.train.txt and so on), or one text file"
_WORDS: dict[TextPart, str] = {"train": "train", "valid": "(valid|validation|val|dev)", "test": "test"}


def find(folder: Path, part: TextPart) -> Path | None:
    """The file of a part: `train.txt`, `ptb.train.txt`, `wiki.train.tokens` and their like. None: there is none.

    Raises:
        TaskError: several files could be meant.
    """
    pattern = re.compile(rf"(.*[._-])?{_WORDS[part]}(\.(txt|tokens|raw))?", re.IGNORECASE)
    found = sorted(entry for entry in folder.iterdir() if entry.is_file() and pattern.fullmatch(entry.name))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise TaskError(f"{folder}: several files could be the {part} text: {names}. Leave one in the folder")
    return found[0] if found else None


def read(file: Path) -> str:
    """The text of a file. All line ends are line feeds.

    Raises:
        TaskError: it cannot be read, or is no UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TaskError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{file}: not a text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}. Convert it, as with "
            "`iconv -f latin1 -t utf-8`"
        ) from error
    if not text.strip():
        raise TaskError(f"{file}: the text is empty")
    return text
