"""`Leases`: which worker holds which trial until when.

Pure state; the time is an argument. A lease is a promise of the controller: nobody else trains this architecture while
you keep saying that you do. It ends by a result, by being given back, or by silence (Gray & Cheriton 1989). One that
ended in silence can still bring its result, as long as its trial has not gone to another worker: it is remembered.
"""

import heapq
import secrets
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from nas_controller.journal.journal import SampledTrial

# Ended leases that are answered from memory. Older ones are looked up in the journal.
_REMEMBERED = 10_000
_FIRST = "first"


def make_token(epoch: int, number: int, pool: str, *, first_training: bool = False) -> str:
    """The token of a lease: who has it holds the lease, so nobody can guess it.

    It names the pool of its worker, so that the certificate that comes with it can be checked, and says whether it is
    for a cheap first training: after a restart too.
    """
    return f"{epoch}.{number}{_FIRST if first_training else ''}.{pool}.{secrets.token_urlsafe(16)}"


def is_of_first_training(token: str) -> bool:
    """Whether a token is of a lease for a cheap first training."""
    return token.partition(".")[2].partition(".")[0].endswith(_FIRST)


def pool_of(token: str) -> str:
    """The pool that a token names; empty if it names none."""
    parts = token.split(".")
    return parts[2] if len(parts) == 4 else ""


class Ending(Enum):
    """How a lease ended."""

    FINISHED = auto()
    RELEASED = auto()
    LOST = auto()
    EXPIRED = auto()


@dataclass(slots=True)
class Lease:
    """One worker's hold on one trial. Times are seconds of one monotonic clock."""

    token: str
    trial: int
    worker: str
    request_id: str
    attempt: int
    granted_at: float
    expires_at: float
    training: int = 0  # it is for this final training of the trial; 0: for the trial itself


@dataclass(frozen=True, slots=True)
class Request:
    """A worker asks for something to train. `id`: the same when it asks again, not knowing the answer."""

    worker: str
    id: str | None = None
    pool: str = ""


class Grant(NamedTuple):
    """A lease and the trial that it is on. A worker may hear of it when `durable` is done."""

    lease: Lease
    trial: SampledTrial
    durable: "Future[None]"


class Leases:
    """The leases that are held, and for a while those that were."""

    def __init__(self, duration: float, epoch: int = 1) -> None:
        """Starts empty.

        Args:
            duration: seconds without a sign of life after which a lease expires.
            epoch: of the controller, which no other start of it has.
        """
        self.duration = duration
        self._epoch = epoch
        self._made = 0
        self._held: dict[str, Lease] = {}
        self._of_worker: dict[str, Lease] = {}
        self._expiries: list[tuple[float, str]] = []
        self._ended: OrderedDict[str, tuple[Lease, Ending]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[Lease]:
        """All that are held."""
        return list(self._held.values())

    def get(self, token: str) -> Lease | None:
        """The held lease of that token."""
        return self._held.get(token)

    def of_worker(self, worker: str) -> Lease | None:
        """The lease that a worker holds: at most one."""
        return self._of_worker.get(worker)

    def of_request(self, worker: str, request_id: str) -> Lease | None:
        """The held lease that this request of a worker was given."""
        lease = self._of_worker.get(worker)
        return lease if lease is not None and lease.request_id == request_id else None

    def ended(self, token: str) -> tuple[Lease, Ending] | None:
        """A lease that ended not long ago, and how."""
        return self._ended.get(token)

    def make(
        self, request: Request, trial: int, lost: int, now: float, *, training: int = 0, first_training: bool = False
    ) -> Lease:
        """A new lease, to be granted. `lost`: workers that were lost before with what it is on."""
        self._made += 1
        token = make_token(self._epoch, self._made, request.pool, first_training=first_training)
        expires_at = now + self.duration
        return Lease(token, trial, request.worker, request.id or token, lost + 1, now, expires_at, training)

    def grant(self, lease: Lease) -> None:
        """A lease begins, or one that expired is taken up again."""
        self._ended.pop(lease.token, None)
        self._held[lease.token] = lease
        self._of_worker[lease.worker] = lease
        heapq.heappush(self._expiries, (lease.expires_at, lease.token))

    def renew(self, lease: Lease, now: float) -> None:
        """A sign of life."""
        lease.expires_at = now + self.duration

    def end(self, lease: Lease, ending: Ending) -> None:
        """A held lease ends."""
        del self._held[lease.token]
        if self._of_worker.get(lease.worker) is lease:
            del self._of_worker[lease.worker]
        self._remember(lease, ending)

    def finish_late(self, lease: Lease) -> None:
        """A lease that had ended without a result has brought one after all: it is not taken up again."""
        self._remember(lease, Ending.FINISHED)

    def _remember(self, lease: Lease, ending: Ending) -> None:
        self._ended[lease.token] = (lease, ending)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def expired(self, now: float) -> list[Lease]:
        """The held leases that have had no sign of life for too long. They remain held until `end`."""
        found: list[Lease] = []
        while self._expiries and self._expiries[0][0] <= now:
            _, token = heapq.heappop(self._expiries)
            lease = self._held.get(token)
            if lease is None:
                continue
            if lease.expires_at <= now:
                found.append(lease)
            else:  # renewed since: look again when that runs out
                heapq.heappush(self._expiries, (lease.expires_at, token))
        return found
