"""When a status is written: at once when a condition changes, and numbers alone every few seconds at most."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from nas_api.spec import NASPoolStatus, NASSearchStatus

from nas_operator.actions import WriteStatus


@dataclass(slots=True)
class StatusWrites:
    """Decides for the statuses of a search and its pools.

    Attributes:
        written: when the status of `KIND/NAME` was last written.
        least: time between two writes that differ in numbers only.
        now: UTC.
        due_at: when a write that was put off is to be made. None: none was.
    """

    written: Mapping[str, datetime]
    least: timedelta
    now: datetime
    due_at: datetime | None = field(default=None, init=False)

    def plan(
        self,
        kind: Literal["NASSearch", "NASPool"],
        name: str,
        previous: NASSearchStatus | NASPoolStatus,
        status: NASSearchStatus | NASPoolStatus,
    ) -> Iterator[WriteStatus]:
        """Writes `status`, if it is another than `previous` and due."""
        if status == previous:
            return
        last = self.written.get(f"{kind}/{name}")
        due_at = self.now if last is None or _what_counts(previous) != _what_counts(status) else last + self.least
        if due_at > self.now:
            self.due_at = min(due_at, self.due_at or due_at)
            return
        yield WriteStatus(kind, name, status.model_dump(mode="json", by_alias=True, exclude_none=True))


def _what_counts(status: NASSearchStatus | NASPoolStatus) -> object:
    conditions = [(c.type, c.status, c.reason, c.observed_generation) for c in status.conditions]
    return status.observed_generation, conditions
