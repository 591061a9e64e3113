"""Saying what is going on, on standard error."""

import sys
import time


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"==> {text}", file=sys.stderr, flush=True)


class Progress:
    """A count that goes up: on a terminal in one line, elsewhere a line now and then.

    Args:
        what: What is counted, as "packages compiled".
        total: How far it goes, if that is known.
        interval: Seconds between two lines where there is no terminal.
    """

    def __init__(self, what: str, total: int | None = None, interval: float = 30) -> None:
        self.what = what
        self.total = total
        self.count = 0
        self._on_terminal = sys.stderr.isatty()
        self._interval = 0.2 if self._on_terminal else interval
        self._said_at = time.monotonic()

    def __str__(self) -> str:
        return f"{self.count}{f' of {self.total}' if self.total else ''} {self.what}"

    def advance(self) -> None:
        """One more."""
        self.count += 1
        if time.monotonic() - self._said_at > self._interval:
            self._said_at = time.monotonic()
            sys.stderr.write(f"\r    {self}\033[K" if self._on_terminal else f"    {self}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """No more."""
        sys.stderr.write(f"\r    {self}\033[K\n" if self._on_terminal else f"    {self}\n")
        sys.stderr.flush()
