"""`WorkQueue`: which search is to be reconciled next, and when. It is told the time, so that tests need not wait."""

import random
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Entry:
    """What is known of one key. All times are seconds of a monotonic clock.

    Attributes:
        due: when it is to be worked on. None: nothing is to be done.
        not_before: it is not worked on earlier, whatever is asked: least interval and back-off.
        failures: in a row.
        began: since when it is being worked on. None: it is not.
    """

    due: float | None = None
    not_before: float = 0.0
    failures: int = 0
    began: float | None = None


class WorkQueue(Generic[K]):
    """A level-triggered queue: a key says that there is something to look at, not what.

    A key that is added twice is worked on once; never twice at a time; and once more if it was added while it was
    worked on. That is the contract of client-go's work queue, too.
    """

    def __init__(
        self,
        least_interval: float = 1.0,
        first_delay: float = 1.0,
        longest_delay: float = 30.0,
        jitter: float = 0.2,
        seed: int | None = None,
    ) -> None:
        """Makes an empty queue.

        Args:
            least_interval: seconds between the beginnings of two rounds of work on one key, at least.
            first_delay: seconds until a key that failed once is tried again. They double with each failure.
            longest_delay: bound of that.
            jitter: part of a delay that chance may add, so that what failed together does not come back together.
            seed: of chance.
        """
        self._least_interval = least_interval
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._jitter = jitter
        self._random = random.Random(seed)  # noqa: S311 - it keeps no secret
        self._entries: dict[K, _Entry] = {}

    def add(self, key: K, now: float, after: float = 0.0) -> None:
        """Asks for work on `key`, `after` seconds from now or earlier if that was asked for before."""
        entry = self._entries.setdefault(key, _Entry())
        due = now + after
        entry.due = due if entry.due is None else min(entry.due, due)

    def retry_now(self, key: K, now: float) -> None:
        """Asks for work on `key` whatever its failures: their cause may be gone."""
        entry = self._entries.setdefault(key, _Entry())
        entry.failures = 0
        entry.not_before = now
        self.add(key, now)

    def take(self, now: float) -> K | None:
        """The key that has been due for longest, which is now being worked on. None: there is none."""
        due = [(at, key) for key, entry in self._entries.items() if (at := _eligible(entry)) is not None and at <= now]
        if not due:
            return None
        _, key = min(due, key=lambda item: item[0])
        entry = self._entries[key]
        entry.due = None
        entry.began = now
        entry.not_before = now + self._least_interval
        return key

    def done(self, key: K, now: float, again_after: float | None = None) -> None:
        """Ends a round of work that went well.

        Args:
            key: what was worked on.
            now: the time.
            again_after: seconds after which it is worked on again at the latest. None: it is forgotten, unless it was
                added meanwhile.
        """
        entry = self._end(key)
        entry.failures = 0
        if again_after is not None:
            self.add(key, now, again_after)
        elif entry.due is None:
            del self._entries[key]

    def failed(self, key: K, now: float) -> float:
        """Ends a round of work that did not. The key is worked on again after a delay that grows.

        Returns:
            the delay in seconds.
        """
        entry = self._end(key)
        delay = min(self._first_delay * 2.0 ** min(entry.failures, 60), self._longest_delay)
        delay *= 1 + self._jitter * self._random.random()
        entry.failures += 1
        entry.not_before = max(entry.not_before, now + delay)
        self.add(key, now)
        return delay

    def next_due(self) -> float | None:
        """When `take` will have something. None: not before something is added or done."""
        return min((at for entry in self._entries.values() if (at := _eligible(entry)) is not None), default=None)

    def waiting(self, now: float) -> list[float]:
        """For how many seconds each key that is due has been so."""
        due = (_eligible(entry) for entry in self._entries.values())
        return [now - at for at in due if at is not None and at <= now]

    def working_since(self) -> dict[K, float]:
        """What is being worked on, and since when."""
        return {key: entry.began for key, entry in self._entries.items() if entry.began is not None}

    def _end(self, key: K) -> _Entry:
        entry = self._entries[key]
        if entry.began is None:
            raise ValueError(f"{key!r} is not being worked on")
        entry.began = None
        return entry


def _eligible(entry: _Entry) -> float | None:
    if entry.due is None or entry.began is not None:
        return None
    return max(entry.due, entry.not_before)
