"""`MetricsEndpoint`: all metrics of a controller, if somebody wants them."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from grpc import aio
from nas_api.spec import NASSearch
from prometheus_client import ProcessCollector

from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.metrics.records import RecordObserver
from nas_controller.metrics.rpcs import RpcObserver
from nas_controller.metrics.search_metrics import SearchMetrics
from nas_controller.metrics.server import serving_metrics
from nas_controller.metrics.state import StateCollector
from nas_controller.service.coordinator import Coordinator

logger = logging.getLogger(__name__)


class MetricsEndpoint:
    """Observes a search from its journal, its calls and its state."""

    def __init__(self, search: NASSearch, address: str | None) -> None:
        """Begins at zero. `address`: see `serving_metrics`. None: nothing is observed and nothing served."""
        self._address = address
        self._metrics = SearchMetrics(search) if address is not None else None

    def observe(self, journal: SqliteJournal) -> None:
        """Counts what `journal` makes durable from now on."""
        if self._metrics is not None:
            journal.observe(RecordObserver(self._metrics, journal))

    def interceptors(self) -> Sequence[aio.ServerInterceptor]:
        """What must see every call."""
        return () if self._metrics is None else (RpcObserver(self._metrics),)

    @contextmanager
    def serving(self, coordinator: Coordinator, state: Path) -> Iterator[None]:
        """Serves as long as the context lasts. To be entered in the event loop of `coordinator`.

        Args:
            coordinator: of the search.
            state: directory of the journal.

        Raises:
            CannotServeMetricsError: the address cannot be served on.
        """
        if self._metrics is None or self._address is None:
            yield
            return
        coordinator.idled = self._metrics.idled
        registry = self._metrics.registry
        registry.register(StateCollector(self._metrics, coordinator, asyncio.get_running_loop(), state))
        ProcessCollector(registry=registry)
        with serving_metrics(registry, self._address) as url:
            logger.info("metrics on %s", url)
            yield
