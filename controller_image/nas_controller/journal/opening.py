"""Opens the file of a SQLite journal, or says why it cannot be opened and what to do about it."""

import contextlib
import fcntl
import os
import socket
import sqlite3
from pathlib import Path
from typing import TextIO

from nas_controller.journal.journal import JournalError, JournalInUseError, StorageError
from nas_controller.journal.schema import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION


def lock(path: Path) -> TextIO:
    """Makes the directory of the journal at `path` and takes the lock file beside it, until the result is closed.

    Raises:
        JournalInUseError: a live process has the lock.
        JournalError: the directory cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(
            f"cannot make the directory {path.parent} for the journal: {error.strerror}. "
            "Choose another state directory, or make its parent writable."
        ) from error
    lock_path = path.with_name(path.name + ".lock")
    try:
        file = lock_path.open("a+")
    except OSError as error:
        raise JournalError(
            f"cannot write in {path.parent}, where the journal is to be: {error.strerror}. "
            "Make the directory writable, or choose another state directory."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "which is just starting"
        file.close()
        raise JournalInUseError(
            f"the journal {path} is in use by another process ({holder}). "
            "Stop that process first, or choose another state directory."
        ) from error
    with contextlib.suppress(OSError):  # the disk is full: it is only for whoever finds the lock taken
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"pid {os.getpid()} on {socket.gethostname()}".encode())
    return file


def open_for_writing(path: Path | None, search: str) -> sqlite3.Connection:
    """Opens or makes the journal of `search`, in memory without a `path`, and brings it to this version's schema.

    Raises:
        JournalError: there is something else at `path`, or it cannot be written.
    """
    if path is not None and path.is_dir():
        raise JournalError(f"{path} is a directory where the journal should be a file. Move it away.")
    try:
        connection = _connect(":memory:" if path is None else str(path), uri=False)
        try:
            _prepare(connection, path, search)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _cannot_open(path, error) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None, search: str) -> None:
    version = _schema_version(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    for number in range(version, SCHEMA_VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1}; COMMIT;"
        )
    owner = connection.execute("SELECT name FROM search").fetchone()
    if owner is None:
        connection.execute("INSERT INTO search (name) VALUES (?)", (search,))
    elif owner[0] != search:
        raise JournalError(
            f"{path} is the journal of the search {owner[0]}, not of {search}. "
            "Choose another state directory for this search."
        )


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Opens the journal at `path` beside the process that writes it, if there is one.

    Raises:
        JournalError: there is no journal of a version that can be read.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal at {path}. Has the search been started with this state directory?")
    uri = path.absolute().as_uri() + "?mode=ro"
    if not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        # An archive. Nobody writes it, and SQLite could not make the files beside it that readers share with a writer.
        uri += "&immutable=1"
    try:
        connection = _connect(uri, uri=True)
        try:
            version = _schema_version(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _cannot_open(path, error) from error
    if version < SCHEMA_VERSION:
        connection.close()
        raise JournalError(
            f"the journal {path} was made by an older version of KubeNAS, or is empty. "
            "Run the search once with this version to bring it up to date."
        )
    return connection


def _cannot_open(path: Path | None, error: sqlite3.Error) -> JournalError:
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        return JournalError(f"{path} is not a journal: it is not a SQLite database. Move it away.")
    may_pass = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    return (StorageError if may_pass else JournalError)(
        f"cannot open the journal {path}: {error} ({error.sqlite_errorname}). "
        "Check that the file and its directory can be written and that the disk has room."
    )


def _connect(database: str, *, uri: bool) -> sqlite3.Connection:
    # autocommit: transactions begin and end where this package says so
    return sqlite3.connect(database, uri=uri, timeout=5.0, isolation_level=None, check_same_thread=False)


def _schema_version(connection: sqlite3.Connection, path: Path | None) -> int:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    if application != APPLICATION_ID and not (empty and version == 0):
        raise JournalError(f"{path} is not a journal: it is a SQLite database of another program. Move it away.")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"the journal {path} was written by a newer version of KubeNAS (its schema is {version}, this version "
            f"knows up to {SCHEMA_VERSION}). Upgrade KubeNAS, or choose another state directory."
        )
    return version
