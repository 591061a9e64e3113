"""`Coordinator`: drives a `Search` from the calls of many workers, on one event loop.

The loop owns the search. A process beside it runs the learner's jobs, one after the other. A worker that asks for an
architecture when none is pending waits here until one is.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from nas_api.leases import lease_id

from nas_controller import leases
from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.engine import Engine
from nas_controller.jobs import JobRunner
from nas_controller.journal.wakeup import CommitWaiter
from nas_controller.leases import Ending, Grant, Lease
from nas_controller.progress import Verdict

logger = logging.getLogger(__name__)

# Seconds between two looks at expired leases and the clock of the budget.
_TICK = 0.5
# Seconds that a worker that has gone, or is silent, is still told of. On a cluster every new pod is another worker.
_REMEMBER = 600.0
# Seconds between two entries in the log on how many trials were replayed.
_REPLAYS_TOLD = 60.0


@dataclass(slots=True)
class Worker:
    """A worker that has registered."""

    name: str
    pool: str
    device: str
    seen_at: float  # monotonic seconds
    since: float  # in its present state, monotonic seconds
    trial: int = 0  # 0: idle
    draining: bool = False
    release_now: bool = False
    retired: bool = False


@dataclass(slots=True, eq=False)
class _Waiter:
    """A call of a worker that waits for an architecture."""

    worker: Worker
    request_id: str
    granted: "asyncio.Future[Grant | None]"

    def answer(self, grant: Grant | None) -> None:
        """Ends the wait, unless the caller has given up meanwhile."""
        if not self.granted.done():
            self.granted.set_result(grant)


def log_fields(lease: Lease) -> dict[str, object]:
    """What tells a lease in the log."""
    return {"trial": lease.trial, "lease": lease_id(lease.token), "worker": lease.worker}


def wanted_trials(engine: Engine, waiting: int) -> int:
    """Trials that should be pending: one for each worker that is `waiting`, and with many workers some in reserve.

    With few workers a batch is sampled when it is needed, by the newest policy: sampling takes milliseconds. With
    hundreds somebody asks every few milliseconds, and a reserve of half their number keeps them from waiting.
    """
    batch_size = engine.manifest.spec.controller.batch_size
    return waiting + len(engine.leases) // (2 * batch_size) * batch_size


@dataclass(slots=True)
class Coordinator:
    """Workers, and the search that they work for."""

    engine: Engine
    runner: JobRunner
    started_at: float = field(default_factory=time.monotonic)
    workers: dict[str, Worker] = field(default_factory=dict)
    commits: CommitWaiter = field(default_factory=CommitWaiter)
    idled: Callable[[str, float], None] = lambda *_: None
    """Told, when a worker gets something to train, its pool and for how many seconds it had nothing."""
    traceparent: Callable[[Lease], str] = lambda _: ""
    """Trace context that the worker of a lease is told; empty: it is not traced."""
    _drained: dict[str, bool] = field(default_factory=dict)  # names of workers that shall go: whether at once
    _waiters: dict[str, _Waiter] = field(default_factory=dict)  # by worker, the longest waiting first
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _finished: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        # Those that an earlier start of the controller gave an architecture. When an operator chooses who goes, it must
        # not take them for idle until they have spoken.
        for held in self.engine.leases.held():
            self.workers[held.worker] = Worker(
                held.worker,
                leases.pool_of(held.token),
                device="",
                seen_at=self.started_at,
                since=held.granted_at,
                trial=held.trial,
            )

    async def run(self) -> None:
        """Learns and looks at the clock until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._learn())
            tasks.create_task(self._tick())
            tasks.create_task(self._watch_journal())

    # What workers call. ---------------------------------------------------------------------------------------------

    def register(self, name: str, pool: str, device: str) -> Worker:
        """Makes a worker known, or sees it again after its controller or itself was started anew."""
        now = time.monotonic()
        worker = self.workers.get(name)
        if worker is None or worker.retired:
            worker = self.workers[name] = Worker(name, pool, device, seen_at=now, since=now)
            held = self.engine.leases.of_worker(name)
            worker.trial = held.trial if held else 0
            worker.draining, worker.release_now = name in self._drained, self._drained.get(name, False)
            fields = {"worker": name, "pool": pool, "device": device}
            logger.info("worker %s of pool %s registered on %s", name, pool, device, extra=fields)
        worker.pool, worker.device, worker.seen_at = pool, device, now
        return worker

    def see(self, name: str) -> Worker | None:
        """A sign of life of a worker. None: it has not registered since the controller started."""
        worker = self.workers.get(name)
        if worker is not None:
            worker.seen_at = time.monotonic()
        return worker

    def alive(self, worker: Worker) -> bool:
        """Whether a worker has been heard of within the duration of a lease."""
        return not worker.retired and time.monotonic() - worker.seen_at <= self.engine.leases.duration

    def pool_of(self, name: str) -> str:
        """The pool of a worker that lives or holds a lease; empty if there is no such worker."""
        worker = self.workers.get(name)
        if worker is not None and self.alive(worker):
            return worker.pool
        held = self.engine.leases.of_worker(name)
        return leases.pool_of(held.token) if held else ""

    def retirement(self, worker: Worker) -> str | None:
        """Why a worker that asks for an architecture should go instead. None: it should stay."""
        verdict = self.engine.verdict
        if verdict.final:
            return f"the search has ended: {verdict.message}"
        if verdict.state == "SUSPENDED":
            return "the search is suspended"
        return "the worker is drained" if worker.draining else None

    def retire(self, worker: Worker) -> None:
        """A worker goes."""
        worker.retired = True
        worker.trial = 0

    async def lease(self, worker: Worker, request_id: str, wait_seconds: float) -> Grant | None:
        """An architecture for a worker, as soon as there is one. None: not in `wait_seconds`, or the worker goes."""
        held = self.engine.leases.of_request(worker.name, request_id)
        if held is not None:
            self.engine.leases.renew(held, time.monotonic())
            return Grant(held, self.engine.trial_of(held), self.engine.journal.write())
        previous = self.engine.leases.of_worker(worker.name)
        if previous is not None:
            # A worker trains one architecture at a time: it was started anew and has lost this one.
            logger.warning(
                "worker %s lost trial %d: it asks for another", worker.name, previous.trial, extra=log_fields(previous)
            )
            self.engine.end_lease(previous, Ending.LOST)
        waiter = _Waiter(worker, request_id, asyncio.get_running_loop().create_future())
        superseded = self._waiters.pop(worker.name, None)  # an earlier try of the same call, say
        if superseded is not None:
            superseded.answer(None)
        self._waiters[worker.name] = waiter
        self._serve()
        self._work.set()
        try:
            async with asyncio.timeout(wait_seconds):
                return await waiter.granted
        except TimeoutError:
            # It may have been granted in the instant in which the time ran out.
            return None if waiter.granted.cancelled() else waiter.granted.result()
        finally:
            if self._waiters.get(worker.name) is waiter:
                del self._waiters[worker.name]

    def renew(self, lease: Lease) -> None:
        """A worker says that it is training still."""
        self.engine.leases.renew(lease, time.monotonic())
        worker = self.workers.get(lease.worker)
        if worker is not None and worker.trial != lease.trial:
            worker.trial, worker.since = lease.trial, time.monotonic()

    def completed(self, worker: str) -> None:
        """A worker has no architecture any more."""
        self._idle(worker)
        self._work.set()

    async def changed(self) -> None:
        """Waits for the next trial to finish or the search's state to change, or for a while."""
        async with self._finished:
            try:
                async with asyncio.timeout(5):
                    await self._finished.wait()
            except TimeoutError:
                return

    async def announce(self) -> None:
        """Wakes up those who wait in `changed`."""
        async with self._finished:
            self._finished.notify_all()

    # What administrators call. --------------------------------------------------------------------------------------

    def drain(self, names: list[str], *, now: bool) -> list[Worker]:
        """Asks workers to go: after their architecture, or `now`. Returns those still there.

        Args:
            names: of workers, known or not: one that is not will go when it registers. Empty: all that are known.
            now: whether they give back what they train.
        """
        for name in names:
            self._drained[name] = now or self._drained.get(name, False)
        chosen = [worker for name in names or self.workers if (worker := self.workers.get(name))]
        for worker in chosen:
            worker.draining = True
            worker.release_now |= now
        self._dismiss()
        return [worker for worker in chosen if self.alive(worker)]

    def set_verdict(self, verdict: Verdict) -> "Future[None]":
        """Runs, suspends or ends the search."""
        durable = self.engine.set_verdict(verdict)
        self._dismiss()
        self._work.set()
        return durable

    # The inside. ----------------------------------------------------------------------------------------------------

    def _idle(self, name: str) -> None:
        worker = self.workers.get(name)
        if worker is not None:
            worker.trial, worker.since = 0, time.monotonic()

    def _serve(self) -> None:
        """Gives pending trials to those who wait, first come, first served."""
        while self._waiters and self.engine.pending:
            name = next(iter(self._waiters))
            waiter = self._waiters[name]
            if waiter.granted.done():  # cancelled this very moment
                del self._waiters[name]
                continue
            granted = self.engine.grant(name, waiter.request_id, waiter.worker.pool)
            if granted is None:
                return
            del self._waiters[name]
            now = time.monotonic()
            self.idled(waiter.worker.pool, now - waiter.worker.since)
            waiter.worker.trial, waiter.worker.since = granted.lease.trial, now
            waiter.answer(granted)

    def _dismiss(self) -> None:
        """Answers the waiting calls of workers that should go."""
        for name, waiter in list(self._waiters.items()):
            if self.retirement(waiter.worker) is not None:
                del self._waiters[name]
                waiter.answer(None)

    async def _learn(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="learner") as thread:  # waits for the runner
            while True:
                job = self.engine.next_job(wanted_trials(self.engine, len(self._waiters)))
                if job is None:
                    self._work.clear()
                    await self._work.wait()
                    continue
                try:
                    result = await loop.run_in_executor(thread, self.runner.run, job)
                except NoAcceptableArchitectureError as error:
                    self.engine.forget_job()
                    self.set_verdict(Verdict("FAILED", "NoAcceptableArchitecture", str(error)))
                    continue
                finished = self.engine.last_sequence
                durable = self.engine.absorb(result)
                self._serve()
                if self.engine.last_sequence > finished:  # by replays
                    await self.commits.wrap(durable)
                    await self.announce()

    async def _watch_journal(self) -> None:
        """Ends the controller when its journal is broken. One that is only full stalls, and goes on by itself."""
        while True:
            await self.commits.wrap(self.engine.journal.write())
            await asyncio.sleep(1)

    def _forget(self) -> None:
        """Workers that have long gone."""
        before = time.monotonic() - max(_REMEMBER, self.engine.leases.duration)
        for worker in list(self.workers.values()):
            if worker.seen_at < before and self.engine.leases.of_worker(worker.name) is None:
                del self.workers[worker.name]

    async def _tick(self) -> None:
        last = time.monotonic()
        was = self.engine.verdict
        problem = ""
        told, replayed = last, self.engine.progress.replayed
        while True:
            await asyncio.sleep(_TICK)
            if bool(problem) != bool(self.engine.journal.problem()):
                problem = self.engine.journal.problem()
                logger.warning("%s", problem or "the journal can be written again")
            for lease in self.engine.expire_leases():
                logger.warning(
                    "the lease of worker %s on trial %d expired", lease.worker, lease.trial, extra=log_fields(lease)
                )
                self._idle(lease.worker)
            self._forget()
            self.engine.check_budget()  # a second stage is planned when the last results can be read
            self._serve()
            self._work.set()
            now = time.monotonic()
            self.engine.add_active_seconds(now - last)
            last = now
            progress = self.engine.progress
            ended = self.engine.verdict.final and self.engine.verdict is not was
            if progress.replayed > replayed and (ended or now - told >= _REPLAYS_TOLD):
                told, replayed = now, progress.replayed
                logger.info("%d of %d trials were replayed, not trained", progress.replayed, progress.finished)
            if self.engine.verdict is not was:
                was = self.engine.verdict
                logger.info("the search is %s: %s", was.state, was.message)
                self._dismiss()
                await self.announce()
