"""Waiting for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.cluster.command import CommandError

_T = TypeVar("_T")

_INTERVAL = 0.1  # seconds between two looks
PATIENCE = 120.0  # seconds; only a test that fails waits so long


def wait_for(condition: Callable[[], _T | None], what: str, timeout: float = PATIENCE) -> _T:
    """Looks again and again until the condition gives something true, and returns that.

    A condition whose command fails, for example because an object is not there yet, is not met yet.

    Args:
        condition: What to look at.
        what: What is waited for, as in "timed out after 120 s waiting for WHAT".
        timeout: Seconds.

    Raises:
        TimeoutError: With what the last look gave.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen: object = None
            if result := condition():
                return result
            seen = result
        except CommandError as error:
            seen = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {timeout:g} s waiting for {what}; last seen: {seen!r}")
        time.sleep(_INTERVAL)
