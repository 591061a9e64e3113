"""`SqliteJournal`: a journal in one SQLite file.

One thread writes. It takes all the writes that wait and commits them as one transaction of SQLite; while that one's
`fsync` runs, and for ten milliseconds at least, the next ones gather. So the busier the journal is, the more writes
share an `fsync`.
"""

import contextlib
import logging
import math
import shutil
import sqlite3
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from nas_controller.journal.apply import apply
from nas_controller.journal.journal import Committed, Journal, JournalError, Record, StorageError
from nas_controller.journal.opening import lock, open_for_reading, open_for_writing
from nas_controller.journal.reader import SqliteReader

logger = logging.getLogger(__name__)

_LARGEST_GROUP = 1000  # writes in one transaction: bounds the write-ahead log, and what one retry repeats
# Between two commits of a busy journal, which gathers what comes meanwhile: a commit costs nearly the same for one
# write as for fifty. An idle one commits at once.
_COMMIT_INTERVAL_SECONDS = 0.01
_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 2.0

# What may be over as suddenly as it came, by primary result code, and what a person can do about it.
_PASSING = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space"),
    sqlite3.SQLITE_IOERR: (
        "the disk refuses the write (full, over quota, a limit on file size, read-only or failing)",
        "Make room or repair it",
    ),
    sqlite3.SQLITE_READONLY: ("the file or its disk is read-only", "Make it writable"),
    sqlite3.SQLITE_CANTOPEN: ("a file beside it cannot be opened", "Make its directory writable"),
    sqlite3.SQLITE_BUSY: ("another program has locked it", "Stop that program"),
}


class _Write(NamedTuple):
    records: tuple[Record, ...]
    durable: "Future[None]"


class SqliteJournal(SqliteReader, Journal):
    """The journal of `search` at `path`, which is made with its directory if it does not exist.

    Once a record contradicts what is stored, or the file is found to be damaged, that write and all later ones fail.

    Args:
        path: the file, or ":memory:" for a journal that is gone when it is closed.
        search: namespace/name.

    Raises:
        JournalInUseError: another process has it open.
        StorageError: there is no room to open it.
        JournalError: the journal is not this search's, of a newer version, or not writable.
    """

    def __init__(self, path: Path | str, search: str) -> None:
        self._path = None if path == ":memory:" else Path(path)
        with contextlib.ExitStack() as resources:
            if self._path is not None:
                resources.enter_context(lock(self._path))
            self._writer = open_for_writing(self._path, search)
            resources.callback(self._writer.close)
            reader = self._writer if self._path is None else open_for_reading(self._path)
            resources.callback(reader.close)
            self._attach(str(path), reader)
            self._resources = resources.pop_all()
        # A journal in memory has one connection, and its readers must not see a transaction that is under way.
        self._committing = self._reading if self._path is None else contextlib.nullcontext()
        self._changed = threading.Condition()
        self._waiting: list[_Write] = []
        self._closing = False
        self._failure: JournalError | None = None
        self._problem = ""
        self._observers: tuple[Committed, ...] = ()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, *records: Record) -> "Future[None]":
        """See `Journal`. The future cannot be cancelled: what was written stays written."""
        durable: Future[None] = Future()
        durable.set_running_or_notify_cancel()
        with self._changed:
            failure = self._failure or (JournalError(f"{self._name} is closed") if self._closing else None)
            if failure is None:
                self._waiting.append(_Write(records, durable))
                self._changed.notify()
        if failure is not None:
            durable.set_exception(failure)
        return durable

    def observe(self, committed: Committed) -> None:
        """Tells `committed`, too, of all commits that follow: in the thread that writes, before who waits for them.

        What it raises is logged, and changes nothing.
        """
        self._observers += (committed,)

    def problem(self) -> str:
        """See `Journal`."""
        return self._problem

    def close(self) -> None:
        """See `Journal`.

        Raises:
            JournalError: the last writes could not be made durable.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        with self._reading:
            self._resources.close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        committed_at = -math.inf
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
            time.sleep(max(0.0, committed_at + _COMMIT_INTERVAL_SECONDS - time.monotonic()))
            with self._changed:
                group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
            if not group:
                return
            committed_at = time.monotonic()
            try:
                self._make_durable(group)
            except JournalError as failure:
                self._fail(group, failure)
            except Exception as error:  # whatever it is, nobody may wait for this thread in vain
                self._fail(group, JournalError(f"cannot write to {self._name}: {error!r}"))

    def _make_durable(self, group: list[_Write]) -> None:
        """Commits `group`, however long it takes, and tells those who wait.

        Raises:
            JournalError: it can never be committed.
        """
        delay = _FIRST_RETRY_SECONDS
        while True:
            last_try = self._closing
            try:
                began = time.perf_counter()
                with self._committing:
                    self._commit(group)
                break
            except JournalError:
                # A write contradicts the journal. Those before it are good, and must be told apart from it.
                if len(group) == 1:
                    raise
                for number, write in enumerate(group):
                    try:
                        self._make_durable([write])
                    except JournalError as failure:
                        self._fail(group[number:], failure)
                        return
                return
            except sqlite3.Error as error:
                self._problem = self._explain(error)
            if last_try:
                raise StorageError(f"closed before everything was written: {self._problem}")
            with self._changed:
                self._changed.wait_for(lambda: self._closing, timeout=delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)
        self._tell_observers(group, time.perf_counter() - began)
        self._problem = ""
        for write in group:
            write.durable.set_result(None)

    def _tell_observers(self, group: list[_Write], seconds: float) -> None:
        records = [record for write in group for record in write.records]
        for observer in self._observers if records else ():
            try:
                observer(records, seconds)
            except Exception:
                logger.exception("who observes %s failed", self._name)

    def _commit(self, group: list[_Write]) -> None:
        db = self._writer
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in group:
                for record in write.records:
                    apply(db, record)
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                db.execute("ROLLBACK")
            raise

    def _explain(self, error: sqlite3.Error) -> str:
        """What is wrong and what to do, if it can pass.

        Raises:
            JournalError: it cannot.
        """
        passing = _PASSING.get(error.sqlite_errorcode & 0xFF)
        if passing is None:
            raise JournalError(
                f"{self._name} is damaged: {error} ({error.sqlite_errorname}). Check the disk, and restore the file "
                "from a backup or start the search afresh in another state directory."
            ) from error
        what, remedy = passing
        room = ""
        if self._path is not None:
            with contextlib.suppress(OSError):
                room = f", {shutil.disk_usage(self._path.parent).free / 1e6:.1f} MB are free"
        return (
            f"cannot write to {self._name}: {what} ({error.sqlite_errorname}{room}). {remedy}: "
            "nothing is lost, and writing goes on by itself."
        )

    def _fail(self, group: list[_Write], failure: JournalError) -> None:
        with self._changed:
            self._failure = failure
            group = group + self._waiting
            self._waiting = []
        self._problem = str(failure)
        for write in group:
            write.durable.set_exception(failure)
