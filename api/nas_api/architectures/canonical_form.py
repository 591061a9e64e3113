"""`CanonicalForm`: what every kind of architecture has: one way to write it, and a digest of that."""

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Self

from nas_api.spec.base import SpecModel


class CanonicalForm(SpecModel, ABC):
    """A model of which different instances may be the same architecture."""

    @abstractmethod
    def canonical(self) -> Self:
        """The same architecture, written in the one way in which all that are equal are written."""

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits, equal for architectures with the same canonical form and different for others."""
        return hashlib.sha256(self.canonical().to_json().encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """Compact JSON. Of `canonical()` it is the canonical form."""
        return self.model_dump_json()
