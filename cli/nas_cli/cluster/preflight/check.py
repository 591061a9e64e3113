"""`Check`: one question about a cluster, and its answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check has come out, the worst last."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the table.

    Attributes:
        name: what was looked at.
        outcome: failed: the search would not run. warning: it would wait, run with less, or nobody could tell.
        message: what is.
        advice: what to do. Empty: nothing.
    """

    name: str
    outcome: Outcome
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of what could not be read.

    Attributes:
        why: in words.
    """

    why: str


def ok(name: str, message: str) -> Check:
    """All is well."""
    return Check(name, Outcome.OK, message)


def warning(name: str, message: str, advice: str = "") -> Check:
    """It would wait, or run with less."""
    return Check(name, Outcome.WARNING, message, advice)


def failed(name: str, message: str, advice: str) -> Check:
    """The search would not run."""
    return Check(name, Outcome.FAILED, message, advice)


def unknown(name: str, unread: Unread, advice: str = "Ask somebody who may, or apply and see.") -> Check:
    """Nobody could tell."""
    return Check(name, Outcome.WARNING, f"cannot be told: {unread.why}", advice)


def worst(checks: Iterable[Check]) -> Outcome:
    """The outcome of them all."""
    order = list(Outcome)
    return max((check.outcome for check in checks), key=order.index, default=Outcome.OK)
