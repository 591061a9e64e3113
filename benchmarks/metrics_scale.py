"""What metrics cost as workers, trials and searches get more: series, bytes and seconds of a scrape.

Each search is a real engine with its journal and coordinator, whose metrics are served and scraped over HTTP as those
of a controller. Its workers register, and each holds a lease. A search with one worker, before any trial, is what the
others are compared with. Ends with status 1 if series grow with workers or with trials.

    python benchmarks/metrics_scale.py                          # 50 searches with 800 workers each
    python benchmarks/metrics_scale.py --searches 5 --workers 100 --trials 500
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nas_api.spec import NASSearch
from nas_controller.engine import Engine
from nas_controller.journal.journal import TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.metrics.endpoint import MetricsEndpoint
from nas_controller.service.coordinator import Coordinator
from nas_controller.trial_result import TrialResult
from prometheus_client.parser import text_string_to_metric_families

_SCRAPES = 5  # of each search; the median counts
_SPEC = {
    "searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}},
    "controller": {"algorithm": {"type": "Random"}, "duplicates": "Train"},
    "budget": {"maxTrials": "unlimited"},
}


@dataclass(frozen=True, slots=True)
class Scraped:
    """What a Prometheus gets of a search.

    Attributes:
        series: names and labels, all that there are.
        size: of the text, in bytes.
        seconds: that a scrape takes, in the median.
    """

    series: frozenset[tuple[str, tuple[tuple[str, str], ...]]]
    size: int
    seconds: float


class ServedSearch:
    """A search whose metrics are served."""

    def __init__(self, name: str, directory: Path, stack: ExitStack) -> None:
        """Serves until `stack` ends. To be made in an event loop."""
        manifest = {
            "apiVersion": "kubenas.dev/v1alpha1",
            "kind": "NASSearch",
            "metadata": {"name": name},
            "spec": _SPEC,
        }
        search = NASSearch.model_validate(manifest)
        directory.mkdir()
        journal = stack.enter_context(SqliteJournal(directory / "journal.sqlite", search.full_name))
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self._url = f"http://{address}/metrics"
        self._runner = LocalJobRunner(search.spec)
        metrics = MetricsEndpoint(search, address)
        metrics.observe(journal)
        self._engine = Engine(search, journal, self._runner)
        self._coordinator = Coordinator(self._engine, self._runner)
        stack.enter_context(metrics.serving(self._coordinator, directory))

    def employ(self, workers: int) -> None:
        """Has this many workers, each with a lease."""
        for number in range(len(self._coordinator.workers), workers):
            worker = self._coordinator.register(f"w-{number}", "default", "cpu")
            self._grant(worker.name)

    def finish(self, trials: int) -> None:
        """Lets workers finish so many trials, and take the next ones."""
        for number in range(trials):
            name = f"w-{number % len(self._coordinator.workers)}"
            lease = self._engine.leases.of_worker(name)
            assert lease is not None
            result = TrialResult(TrialState.SUCCEEDED, reward=number / trials, train_seconds=1.0, device_seconds=1.0)
            written = self._engine.complete(lease, result)
            assert written is not None
            written.result()
            self._grant(name)

    def scrape(self) -> Scraped:
        """What a Prometheus gets. Not to be called in the event loop, which answers it."""
        took, text = [], b""
        for _ in range(_SCRAPES):
            began = time.perf_counter()
            with urllib.request.urlopen(self._url, timeout=60) as answer:
                text = answer.read()
            took.append(time.perf_counter() - began)
        samples = [s for family in text_string_to_metric_families(text.decode()) for s in family.samples]
        series = frozenset((sample.name, tuple(sorted(sample.labels.items()))) for sample in samples)
        return Scraped(series, len(text), statistics.median(took))

    def _grant(self, worker: str) -> None:
        while (granted := self._engine.grant(worker, None, "default")) is None:
            job = self._engine.next_job(wanted=8)
            assert job is not None
            self._engine.absorb(self._runner.run(job)).result()
        held = self._coordinator.workers[worker]
        held.trial, held.since = granted.lease.trial, time.monotonic()


async def _measure(options: argparse.Namespace) -> dict[str, float]:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        small = ServedSearch("small", root / "small", stack)
        small.employ(1)
        searches = [ServedSearch(f"search-{n:02d}", root / f"search-{n:02d}", stack) for n in range(options.searches)]
        for number, search in enumerate(searches, 1):
            search.employ(options.workers)
            print(f"\r{number}/{options.searches} searches with {options.workers} workers", end="", file=sys.stderr)
        print(file=sys.stderr)
        # Side by side, since what else the machine does changes.
        one = await asyncio.to_thread(small.scrape)
        many = [await asyncio.to_thread(search.scrape) for search in searches]
        again = await asyncio.to_thread(small.scrape)
        searches[0].finish(options.trials)
        later = await asyncio.to_thread(searches[0].scrape)
    baseline = statistics.median([one.seconds, again.seconds])
    return {
        "series_of_a_small_search": len(one.series),
        "most_series_of_a_search": max(len(each.series) for each in many),
        "series_of_all": sum(len(each.series) for each in many),
        "new_series_after_trials": len(later.series - many[0].series),
        "bytes_of_a_scrape": max(each.size for each in many),
        "scrape_ms_small": 1000 * baseline,
        "scrape_ms": 1000 * statistics.median(each.seconds for each in many),
        "scrape_ratio": statistics.median(each.seconds for each in many) / baseline,
        "scrape_all_ms": 1000 * sum(each.seconds for each in many),
    }


def main() -> int:
    """Measures, and prints JSON. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=50, metavar="N")
    parser.add_argument("--workers", type=int, default=800, metavar="N", help="of each search (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=2000, metavar="N", help="that one then finishes")
    measured = asyncio.run(_measure(parser.parse_args()))
    print(json.dumps({name: round(value, 2) for name, value in measured.items()}, indent=2))
    grown = measured["most_series_of_a_search"] != measured["series_of_a_small_search"]
    return int(grown or measured["new_series_after_trials"] > 0)


if __name__ == "__main__":
    sys.exit(main())
