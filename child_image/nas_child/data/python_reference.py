"""The corpus `pydoc`: the reference of the Python language, which every CPython has for its `help()`.

The text is another with each version of Python, and so are perplexities on it. `description` says which.
"""

import platform
import re
import sys
from collections.abc import Iterator

from nas_child.data.text_files import TextPart
from nas_child.task import TaskError

_PARTS: dict[TextPart, tuple[int, ...]] = {"train": tuple(range(8)), "valid": (8,), "test": (9,)}
_BLOCK = 20  # paragraphs
_TOKEN = re.compile(r"\w+|([^\w\s])\1*")


def description() -> str:
    """Which corpus it is."""
    return f"pydoc, the reference of Python {platform.python_version()}"


def read(part: TextPart, words: bool) -> str:
    """One part of the corpus.

    Of each ten blocks of paragraphs eight are for training, one for validation and one for tests. Topics repeat each
    other's paragraphs; each is kept once, so that none is in two parts.

    Args:
        part: which one.
        words: as the Penn Treebank is written: in lower case, with spaces around punctuation.

    Raises:
        TaskError: this Python has no such module.
    """
    chosen = [paragraph for number, paragraph in enumerate(_paragraphs()) if number // _BLOCK % 10 in _PARTS[part]]
    text = "\n\n".join(chosen) + "\n"
    return _tokenized(text) if words else text


def _paragraphs() -> Iterator[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise TaskError(
            f"dataset.path pydoc: this Python ({sys.executable}) comes without its documentation ({error}): give a "
            "text of your own"
        ) from error
    seen: set[str] = set()
    for _, topic in sorted(topics.items()):
        for paragraph in topic.split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                yield paragraph.strip("\n")


def _tokenized(text: str) -> str:
    lines = (" ".join(match.group() for match in _TOKEN.finditer(line.lower())) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line)
