"""`Vocabulary`: from text to numbers, one for each different token."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Level = Literal["Words", "Characters"]

UNKNOWN = "<unk>"
END_OF_LINE = "<eos>"


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a language model knows.

    Attributes:
        level: what a token is.
        tokens: token i is the one with number i. `<unk>` stands for all others.
    """

    level: Level
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, text: str, level: Level, bound: int) -> "Vocabulary":
        """The commonest tokens of a text, `<unk>` first, at most `bound` with it; among equals the first to occur."""
        counts = Counter(_split(text, level))
        del counts[UNKNOWN]  # a text may have them already
        return cls(level, (UNKNOWN, *(token for token, _ in counts.most_common(bound - 1))))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    def encode(self, text: str) -> Tensor:
        """The tokens of a text as numbers, int64, (tokens,)."""
        numbers = self._numbers
        unknown = numbers[UNKNOWN]
        return torch.from_numpy(
            np.fromiter((numbers.get(token, unknown) for token in _split(text, self.level)), dtype=np.int64)
        )


def _split(text: str, level: Level) -> Iterable[str]:
    if level == "Characters":
        return text
    return (token for line in text.splitlines() for token in (*line.split(), END_OF_LINE))
