"""The operator at work: initial lists, watches, the queue and those who work on it, resync, health."""

import asyncio
import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from nas_operator.cache import WATCHED_KINDS, Cache, Key
from nas_operator.health import start_health_server
from nas_operator.kubernetes_api import ApiError, KubernetesApi
from nas_operator.metrics.cluster import ClusterCollector
from nas_operator.metrics.operator_metrics import OperatorMetrics
from nas_operator.observed import Object
from nas_operator.reconciler import Reconciler, Result
from nas_operator.settings import Settings
from nas_operator.watch import OWN_OBJECTS, watch
from nas_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Seconds between attempts to list everything at the start.
_RETRY = 2.0
# Seconds until the second resync, which finds what was deleted between the first one and the beginning of the watches.
_SOON = 10.0
# Seconds after which a watch, or the queue, is taken for dead. Kopf connects anew after 90 s of silence.
_WATCH_PATIENCE = 180.0
_QUEUE_PATIENCE = 600.0


class OperatorProcess:
    """One run of the operator."""

    def __init__(self, api: KubernetesApi, settings: Settings, reconciler: Reconciler) -> None:
        self._api = api
        self._settings = settings
        self._reconciler = reconciler
        self._cache = Cache()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._metrics = OperatorMetrics()
        self._metrics.registry.register(ClusterCollector(self._cache, self._queue))
        self._stop = asyncio.Event()
        self._end_watch = threading.Event()
        # Something was added to the queue.
        self._news = asyncio.Event()
        self._filled = False
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="reconcile")

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT.

        Raises:
            ExceptionGroup: it cannot go on.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end)
        server, port = await start_health_server(
            self._settings.health_port, self._not_live, self._not_ready, self._metrics.registry
        )
        logger.info("health endpoint on port %d", port)
        try:
            await self._fill()
            if self._filled:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._watch())
                    group.create_task(self._resync())
                    for _ in range(self._settings.workers):
                        group.create_task(self._work())
        finally:
            self._end()
            self._threads.shutdown()
            await server.cleanup()
        logger.info("stopped")

    def _end(self) -> None:
        self._stop.set()
        self._end_watch.set()
        self._news.set()
        self._reconciler.stop()

    async def _fill(self) -> None:
        """Fills the cache. No search is reconciled before: what was not seen yet would be made once more."""
        while not self._stop.is_set():
            try:
                for key in await self._list_everything() | set(self._cache.keys()):
                    self._add(key)
            except ApiError as error:
                logger.warning("not ready: %s", _explained(error))
                await self._sleep(_RETRY)
            else:
                self._filled = True
                where = ", ".join(self._settings.namespaces) or "all namespaces"
                logger.info("ready: %d searches, %d objects in %s", len(self._cache.keys()), self._cache.count(), where)
                return

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()

        def told(kind: str, known: Object, gone: bool) -> None:
            loop.call_soon_threadsafe(self._told, kind, known, gone)

        await asyncio.to_thread(watch, self._settings.namespaces, told, self._end_watch)
        if not self._stop.is_set():
            raise RuntimeError("the watches have ended")

    def _told(self, kind: str, told: Object, gone: bool) -> None:
        self._metrics.told(kind)
        known = self._cache.generation(kind, told)
        key = self._cache.watched(kind, told, deleted=gone)
        if key is None:
            return
        if kind == "NASSearch" and known != told["metadata"].get("generation"):
            self._queue.retry_now(key, time.monotonic())
        self._add(key)

    async def _resync(self) -> None:
        after = min(_SOON, self._settings.resync_seconds)
        while not self._stop.is_set():
            await self._sleep(after)
            if self._stop.is_set():
                return
            try:
                for key in await self._list_everything():
                    self._add(key)
                self._metrics.resynced(failed=False)
            except ApiError as error:
                self._metrics.resynced(failed=True)
                logger.warning("no resync: %s", _explained(error))
            after = self._settings.resync_seconds

    async def _list_everything(self) -> set[Key]:
        changed: set[Key] = set()
        self._cache.begin_resync()
        for kind in WATCHED_KINDS:
            selector = "" if kind == "NASSearch" else OWN_OBJECTS
            for namespace in self._settings.namespaces or (None,):
                listed, version = await asyncio.to_thread(self._api.list, kind, namespace, selector)
                changed |= self._cache.replace(kind, namespace, listed, version)
        self._cache.end_resync()
        return changed

    async def _work(self) -> None:
        while (key := await self._next()) is not None:
            cached = self._cache.objects(key)
            began = time.monotonic()
            try:
                result = await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._reconciler.reconcile, key, cached
                )
            except Exception:
                # A defect of the operator: the other searches must not suffer from it.
                logger.exception("%s: cannot be reconciled", key, extra={"search": str(key)})
                result = Result(failed=True)
            self._metrics.reconciled(time.monotonic() - began, result.done, failed=result.failed)
            self._finish(key, result)

    async def _next(self) -> Key | None:
        """The next search to be reconciled. None: the operator stops."""
        while not self._stop.is_set():
            key = self._queue.take(time.monotonic())
            if key is not None:
                return key
            self._news.clear()
            due = self._queue.next_due()
            timeout = None if due is None else max(0.0, due - time.monotonic())
            try:
                await asyncio.wait_for(self._news.wait(), timeout)
            except TimeoutError:
                continue
        return None

    def _finish(self, key: Key, result: Result) -> None:
        for written in result.written:
            if written.gone:
                self._cache.remove(written.kind, written.now)
            else:
                self._cache.put(written.kind, written.now)
        now = time.monotonic()
        if result.failed:
            self._queue.failed(key, now)
        else:
            after = result.again_after
            self._queue.done(key, now, None if after is None else min(after, self._settings.resync_seconds))
        self._news.set()

    def _add(self, key: Key) -> None:
        self._queue.add(key, time.monotonic())
        self._news.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    def _not_live(self) -> str | None:
        for key, since in self._queue.working_since().items():
            if (seconds := time.monotonic() - since) > _QUEUE_PATIENCE:
                return f"{key} has been worked on for {seconds:.0f} s"
        due = self._queue.next_due()
        if self._filled and due is not None and (seconds := time.monotonic() - due) > _QUEUE_PATIENCE:
            return f"the queue has been waiting for {seconds:.0f} s"
        return self._cache.stale_watch(_WATCH_PATIENCE)

    def _not_ready(self) -> str | None:
        return None if self._filled else "the API server has not told yet what there is"


def _explained(error: ApiError) -> str:
    match error.status:
        case 404:
            return f"{error}: are the CustomResourceDefinitions of KubeNAS installed?"
        case 401:
            return f"{error}: the API server does not know who the operator is"
        case 403:
            return f"{error}: the operator lacks rights, see rbac.create and watchNamespaces of the chart"
        case _:
            return str(error)
