"""Durable writes per second of the journal, next to one transaction for each write, and updates of the policy.

    python benchmarks/journal.py --seconds 3 -o json

Each of the concurrent clients is granted a lease, waits until that is durable, finishes the trial, waits until that is
durable, and so on. The baseline does the same statements on the same disk in the same run, but commits each write on
its own. Updates are of a policy as large as the paper's (snapshot 120 kB, state 240 kB), one after the other.
"""

import argparse
import asyncio
import itertools
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from nas_controller.journal.apply import apply
from nas_controller.journal.journal import (
    BatchSampled,
    LeaseGranted,
    Measurement,
    PolicyUpdated,
    Record,
    SampledTrial,
    TrialFinished,
    TrialState,
)
from nas_controller.journal.opening import open_for_writing
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.journal.wakeup import CommitWaiter
from nas_controller.proposal import Proposal

Write = Callable[..., "Future[None]"]

ARCHITECTURE = "x" * 1500  # about as long as that of 15 layers with skip connections
SERIES = tuple(Measurement(step, {"train_loss": 0.1 * step, "val_accuracy": 0.01 * step}, 1.0) for step in range(10))


def batch(number: int) -> BatchSampled:
    """A batch of one trial."""
    trial = SampledTrial(number, number, Proposal(tuple(range(60)), 15), ARCHITECTURE, f"{number:064x}", 1, 1)
    return BatchSampled(number, 0, (trial,), time.time())


def lease(number: int) -> LeaseGranted:
    """The lease of a trial."""
    return LeaseGranted(f"1.{number}", number, "worker", f"request-{number}", 1, time.time())


def result(number: int, sequence: int, lease: str | None) -> TrialFinished:
    """The result of a trial, with a series of ten steps."""
    return TrialFinished(
        number, sequence, lease, "worker", TrialState.SUCCEEDED, 0.5, "", "", SERIES, 1.0, 1.0, time.time()
    )


def each_on_its_own(connection: sqlite3.Connection) -> Write:
    """The baseline: a transaction for each write."""

    def write(*records: Record) -> "Future[None]":
        connection.execute("BEGIN IMMEDIATE")
        for record in records:
            apply(connection, record)
        connection.execute("COMMIT")
        durable: Future[None] = Future()
        durable.set_result(None)
        return durable

    return write


def percentile(seconds: list[float], percent: float) -> float:
    """In milliseconds."""
    return round(1000 * sorted(seconds)[int(len(seconds) * percent / 100)], 3)


def measure_writes(write: Write, clients: int, seconds: float) -> dict[str, float]:
    """Leases and results of `clients` concurrent clients, each waiting for its own writes."""
    latencies: list[float] = []
    trials, sequences = itertools.count(1), itertools.count(1)

    async def client(commits: CommitWaiter, end: float) -> None:
        async def durable(*records: Record) -> None:
            began = time.perf_counter()
            await commits.wrap(write(*records))
            latencies.append(time.perf_counter() - began)

        while time.perf_counter() < end:
            number = next(trials)
            granted = lease(number)
            await durable(batch(number), granted)
            await durable(result(number, next(sequences), granted.lease))

    async def run() -> None:
        commits, end = CommitWaiter(), time.perf_counter() + seconds
        await asyncio.gather(*(client(commits, end) for _ in range(clients)))

    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "clients": clients,
        "writes_per_second": round(len(latencies) / elapsed),
        "p50_ms": percentile(latencies, 50),
        "p99_ms": percentile(latencies, 99),
        "cpu_ms_per_write": round(1000 * cpu / len(latencies), 4),
    }


def measure_updates(journal: SqliteJournal, path: Path, seconds: float) -> dict[str, float]:
    """Updates of the policy, one after the other, with 20 versions kept."""
    latencies: list[float] = []
    snapshot, state = bytes(120_000), bytes(240_000)
    end = time.perf_counter() + seconds
    for number in itertools.count(1):
        began = time.perf_counter()
        if began > end:
            break
        kept = frozenset(range(max(1, number - 19), number + 1))
        journal.write(
            batch(number),
            result(number, number, None),
            PolicyUpdated(number, number, 0, 0.5, 1.0, 1.0, 0.5, snapshot, state, kept, time.time()),
        ).result()
        latencies.append(time.perf_counter() - began)
    return {
        "updates_per_second": round(len(latencies) / sum(latencies)),
        "p50_ms": percentile(latencies, 50),
        "p99_ms": percentile(latencies, 99),
        "file_mb": round(path.stat().st_size / 1e6, 1),
    }


def measure(directory: Path, concurrencies: list[int], seconds: float) -> dict[str, Any]:
    """All measurements, each with a journal of its own in `directory`."""
    connection = open_for_writing(directory / "baseline.sqlite", "default/benchmark")
    baseline = measure_writes(each_on_its_own(connection), 1, seconds)
    connection.close()
    journal: list[dict[str, float]] = []
    for clients in concurrencies:
        with SqliteJournal(directory / f"{clients}.sqlite", "default/benchmark") as opened:
            measured = measure_writes(opened.write, clients, seconds)
        journal.append(measured | {"ratio": round(measured["writes_per_second"] / baseline["writes_per_second"], 2)})
    path = directory / "updates.sqlite"
    with SqliteJournal(path, "default/benchmark") as opened:
        updates = measure_updates(opened, path, seconds)
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "one_transaction_per_write": baseline,
        "journal": journal,
        "updates": updates,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 800], help="concurrencies to measure")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; default: the temporary directory")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        measured = measure(Path(directory), options.clients, options.seconds)
    if options.output == "json":
        json.dump(measured, sys.stdout, indent=2)
        print()
        return
    row = "{:>28} {:>8} {:>9} {:>8} {:>8} {:>9} {:>6}".format
    print(row("", "clients", "writes/s", "p50 ms", "p99 ms", "CPU ms", "ratio"))
    rows = [("one transaction per write", {**measured["one_transaction_per_write"], "ratio": 1.0})]
    for name, values in rows + [("journal", values) for values in measured["journal"]]:
        print(row(name, *(values[key] for key in values)))
    updates = measured["updates"]
    print(
        f"updates of the policy: {updates['updates_per_second']}/s, p50 {updates['p50_ms']} ms, "
        f"p99 {updates['p99_ms']} ms, file {updates['file_mb']} MB"
    )


if __name__ == "__main__":
    main()
