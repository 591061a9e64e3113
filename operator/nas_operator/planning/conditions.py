"""Conditions of a status (meta/v1 Condition): when one last changed is kept as long as it does not change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from nas_api.spec import Condition

from nas_operator.planning.diagnosis.problem import shortened
from nas_operator.planning.objects import format_time


@dataclass(frozen=True, slots=True)
class Conditions:
    """Makes the conditions of one object.

    Attributes:
        previous: those that it had, by type.
        generation: of the object that they are about.
        now: UTC.
    """

    previous: dict[str, Condition]
    generation: int
    now: datetime

    @classmethod
    def after(cls, previous: Iterable[Condition], generation: int, now: datetime) -> "Conditions":
        """Conditions that follow `previous`."""
        return cls({condition.type: condition for condition in previous}, generation, now)

    def make(self, type_: str, status: bool, reason: str, message: str) -> Condition:
        """A condition."""
        word = "True" if status else "False"
        before = self.previous.get(type_)
        same = before is not None and before.status == word
        return Condition.model_validate(
            {
                "type": type_,
                "status": word,
                "observedGeneration": self.generation,
                "lastTransitionTime": before.last_transition_time if before and same else format_time(self.now),
                "reason": reason[:253] or "Unknown",
                "message": shortened(message),
            }
        )
