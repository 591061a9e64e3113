"""A study of very many finished trials is as fast as an empty one, and its file does not grow by what is dropped."""

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from nas_controller.journal.journal import (
    BatchSampled,
    FactLearned,
    Journal,
    LeaseEnded,
    LeaseGranted,
    PolicyUpdated,
    Record,
    SampledTrial,
    TrialFinished,
    TrialState,
)
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.proposal import Proposal

from .study import fill

READS: dict[str, Callable[[Journal], object]] = {
    "recover": lambda journal: journal.recover(),
    "best": lambda journal: journal.best(),
    "a page of trials": lambda journal: journal.trials(after=150, limit=20),
    "a page of finished trials": lambda journal: journal.finished(after=150, limit=20),
    "a trial": lambda journal: journal.trial(170),
    "a page of leases": lambda journal: journal.lease_spans(after=150, limit=20),
    "the end of a lease": lambda journal: journal.ended_lease("1.170"),
    "a fact": lambda journal: journal.fact("key"),
    "new updates": lambda journal: journal.updates(after=190, limit=10),
}


def large_writes(after: int) -> dict[str, Record]:
    """Each kind of write, valid one after the other when `after` trials have finished."""
    new = after + 1
    trial = SampledTrial(new, new, Proposal((1,), 1), "{}", "d")
    return {
        "sample": BatchSampled(new, after, (trial,), 1.0),
        "grant": LeaseGranted("a", new, "w", "r", 1, 1.0),
        "end a lease": LeaseEnded("a", new, "Expired", 1.0),
        "take a lease up again": LeaseGranted("a", new, "w", "r", 1, 1.0),
        "finish": TrialFinished(new, new, "a", "w", TrialState.FAILED, 0.0, "", "", (), 1.0, 1.0, 1.0),
        "update": PolicyUpdated(new, new, 0, 0.0, 0.0, 0.0, 0.0, b"s", b"t", frozenset({new}), 1.0),
        "learn a fact": FactLearned("key", "value"),
    }


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteJournal, SqliteJournal]]:
    """A study of 200 and one of 6,400 finished trials, with one open batch each."""
    opened = []
    for trials in (200, 6400):
        journal = SqliteJournal(tmp_path_factory.mktemp("large") / "journal.sqlite", "default/digits")
        fill(journal, trials)
        last = SampledTrial(trials + 1, trials + 1, Proposal((1,), 1), "{}", "d")
        journal.write(BatchSampled(trials + 1, trials, (last,), 1.0)).result()
        opened.append(journal)
    yield opened[0], opened[1]
    for journal in opened:
        journal.close()


def instructions(connection: sqlite3.Connection, work: Callable[[], object]) -> int:
    """Instructions of SQLite's virtual machine that `work` takes: what it costs, whatever else the machine does."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    connection.set_progress_handler(step, 1)
    try:
        work()
    finally:
        connection.set_progress_handler(None, 1)
    return count


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_read_costs_the_same_whatever_the_number_of_finished_trials(
    journals: tuple[SqliteJournal, SqliteJournal], read: Callable[[Journal], object]
) -> None:
    small, large = (instructions(journal._db, partial(read, journal)) for journal in journals)

    assert 0 < large <= 1.2 * small


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_no_read_scans_a_table_that_grows_with_the_study(
    journals: tuple[SqliteJournal, SqliteJournal], read: Callable[[Journal], object]
) -> None:
    journal = journals[1]
    statements: list[str] = []
    journal._db.set_trace_callback(statements.append)
    read(journal)
    journal._db.set_trace_callback(None)

    selects = [statement for statement in statements if statement.lstrip().startswith("SELECT")]
    plans = [
        (row[3], select) for select in selects for row in journal._db.execute(f"EXPLAIN QUERY PLAN {select}").fetchall()
    ]
    scans = {plan for plan, _ in plans if plan.startswith("SCAN")}
    assert plans
    # tables of one row or few; the index of the open batches; the best results in their order, up to a limit
    assert scans <= {
        "SCAN CONSTANT ROW",
        "SCAN search",
        "SCAN totals",
        "SCAN policy",
        "SCAN snapshots",
        "SCAN facts",
        "SCAN starts",
        "SCAN leases USING INDEX open_leases",
        "SCAN reports",  # of trials in training alone
        "SCAN b USING INDEX open_batches",
        "SCAN results USING INDEX best_results",
    }


def test_a_write_costs_the_same_whatever_the_number_of_finished_trials(tmp_path: Path) -> None:
    def write(journal: Journal, record: Record) -> None:
        journal.write(record).result()

    costs: dict[int, dict[str, int]] = {}
    for trials in (200, 3200):
        with SqliteJournal(tmp_path / str(trials) / "journal.sqlite", "default/digits") as journal:
            fill(journal, trials)
            costs[trials] = {
                name: instructions(journal._writer, partial(write, journal, record))
                for name, record in large_writes(trials).items()
            }

    assert all(0 < cost <= 1.2 * costs[200][name] for name, cost in costs[3200].items()), costs


def test_the_file_stays_small_while_policies_replace_one_another(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    snapshot, state, kept, updates = b"s" * 12_000, b"t" * 24_000, 10, 2_000
    largest = 0
    with SqliteJournal(path, "default/digits") as journal:
        for n in range(1, updates + 1):
            trial = SampledTrial(n, n, Proposal((1,), 1), "{}", "d")
            durable = journal.write(
                BatchSampled(n, n - 1, (trial,), 1.0),
                TrialFinished(n, n, None, "w", TrialState.SUCCEEDED, 0.5, "", "", (), 1.0, 1.0, 1.0),
                PolicyUpdated(
                    n, n, 0, 0.0, 0.0, 0.0, 0.0, snapshot, state, frozenset(range(max(1, n - kept + 1), n + 1)), 1.0
                ),
            )
            if n % 20 == 0:
                durable.result()
                largest = max(largest, sum(file.stat().st_size for file in tmp_path.iterdir()))
        assert len(journal.recover().snapshots) == kept

    written = updates * (len(snapshot) + len(state))
    live = kept * len(snapshot) + len(state)
    assert path.stat().st_size < 1.5 * live + 300 * updates  # and a short row for each trial, result and update
    assert largest < written / 6  # the write-ahead log is used again and again
