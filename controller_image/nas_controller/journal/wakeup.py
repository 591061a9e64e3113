"""`CommitWaiter`: waits in an asyncio event loop for writes to a journal."""

import asyncio
from collections import deque
from concurrent.futures import Future


class CommitWaiter:
    """Waits in the running event loop, which it wakes once for all the writes of a commit.

    `asyncio.wrap_future` wakes it for each write.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._durable: deque[tuple[asyncio.Future[None], Future[None]]] = deque()
        self._awake = False

    def wrap(self, durable: Future[None]) -> asyncio.Future[None]:
        """What `Journal.write` returned, to await. To cancel it is to stop waiting; what was written stays written."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        durable.add_done_callback(lambda done: self._wake(waiter, done))
        return waiter

    def _wake(self, waiter: asyncio.Future[None], durable: Future[None]) -> None:
        """In the journal's thread."""
        self._durable.append((waiter, durable))
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        # before the queue is emptied: a write that becomes durable later wakes the loop again
        self._awake = False
        while self._durable:
            waiter, durable = self._durable.popleft()
            if waiter.done():
                continue
            if (failure := durable.exception()) is not None:
                waiter.set_exception(failure)
            else:
                waiter.set_result(None)
