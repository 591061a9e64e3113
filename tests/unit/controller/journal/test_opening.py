"""Which file a SQLite journal opens, and what it says of one that it does not."""

import os
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nas_controller.journal.journal import FactLearned, JournalError, JournalInUseError
from nas_controller.journal.reader import SqliteReader
from nas_controller.journal.schema import SCHEMA_VERSION
from nas_controller.journal.sqlite import SqliteJournal

SEARCH = "default/digits"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "read-only"
    directory.mkdir()
    if os.geteuid() != 0:
        directory.chmod(0o555)
        yield directory
        directory.chmod(0o755)
        return
    # to root every directory is writable, unless its file system is not
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(directory)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("root needs the permission to mount a file system for a directory that is read-only")
    yield directory
    subprocess.run(["umount", directory], check=True)


def test_a_journal_is_made_with_its_directory_and_found_again(path: Path) -> None:
    with SqliteJournal(path, SEARCH) as journal:
        journal.write(FactLearned("shape", "1x8x8"))

    with SqliteJournal(path, SEARCH) as journal:
        assert journal.recover().facts == {"shape": "1x8x8"}


def test_a_closed_journal_is_one_file_with_everything_in_it(path: Path) -> None:
    with SqliteJournal(path, SEARCH) as journal:
        journal.write(FactLearned("shape", "1x8x8"))

    assert {file.name for file in path.parent.iterdir()} == {"journal.sqlite", "journal.sqlite.lock"}


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """A process may be killed between the making of the file and its first transaction."""
    path.parent.mkdir()
    path.touch()

    SqliteJournal(path, SEARCH).close()


def test_every_commit_is_synced_to_the_disk(path: Path) -> None:
    with SqliteJournal(path, SEARCH) as journal:
        (mode,) = journal._writer.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = journal._writer.execute("PRAGMA synchronous").fetchone()

    assert (mode, synchronous) == ("wal", 2)  # 2: FULL


def test_a_journal_that_a_live_process_has_open_is_refused_until_it_is_closed(path: Path) -> None:
    first = SqliteJournal(path, SEARCH)
    holder = rf"pid {os.getpid()} on {re.escape(socket.gethostname())}"
    with pytest.raises(JournalInUseError, match=rf"journal.sqlite is in use by another process \({holder}\). Stop"):
        SqliteJournal(path, SEARCH)
    first.close()

    SqliteJournal(path, SEARCH).close()


def test_a_journal_that_could_not_be_opened_is_not_left_locked(path: Path) -> None:
    SqliteJournal(path, "default/other").close()
    with pytest.raises(JournalError):
        SqliteJournal(path, SEARCH)

    SqliteJournal(path, "default/other").close()


def test_the_journal_of_another_search_is_refused(path: Path) -> None:
    SqliteJournal(path, "default/other").close()

    with pytest.raises(
        JournalError, match=r"is the journal of the search default/other, not of default/digits. Choose"
    ):
        SqliteJournal(path, SEARCH)


def test_a_journal_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    SqliteJournal(path, SEARCH).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = path.read_bytes()

    with pytest.raises(JournalError, match=rf"its schema is {SCHEMA_VERSION + 1}, .* Upgrade KubeNAS"):
        SqliteJournal(path, SEARCH)
    with pytest.raises(JournalError, match=rf"its schema is {SCHEMA_VERSION + 1}, .* Upgrade KubeNAS"):
        SqliteReader(path)
    assert path.read_bytes() == before


def test_a_file_that_is_not_a_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("kind: NASSearch\n" * 1000)

    with pytest.raises(
        JournalError, match=r"journal.sqlite is not a journal: it is not a SQLite database. Move it away"
    ):
        SqliteJournal(path, SEARCH)
    assert path.read_text() == "kind: NASSearch\n" * 1000


def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE trials (id INTEGER)")
    database.close()
    before = path.read_bytes()

    with pytest.raises(JournalError, match="is a SQLite database of another program"):
        SqliteJournal(path, SEARCH)
    assert path.read_bytes() == before


def test_a_directory_in_the_way_is_refused(path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(JournalError, match=r"journal.sqlite is a directory where the journal should be a file. Move"):
        SqliteJournal(path, SEARCH)


def test_a_file_where_the_directory_should_be_is_refused(path: Path) -> None:
    path.parent.write_text("")

    with pytest.raises(JournalError, match=r"cannot make the directory .*state for the journal: File exists"):
        SqliteJournal(path, SEARCH)


def test_a_read_only_directory_is_refused(read_only: Path) -> None:
    with pytest.raises(
        JournalError, match=r"cannot write in .*read-only, where the journal is to be: .*. Make .* writable"
    ):
        SqliteJournal(read_only / "journal.sqlite", SEARCH)
    with pytest.raises(JournalError, match=r"cannot make the directory .*read-only/state for the journal"):
        SqliteJournal(read_only / "state" / "journal.sqlite", SEARCH)


def test_a_reader_reads_beside_the_writer_and_sees_what_is_durable(path: Path) -> None:
    with SqliteJournal(path, SEARCH) as journal, SqliteReader(path) as reader:
        journal.write(FactLearned("shape", "1x8x8")).result()
        assert reader.recover() == journal.recover()
        assert reader.recover().facts == {"shape": "1x8x8"}


def test_a_reader_reads_a_journal_that_nobody_writes(path: Path) -> None:
    with SqliteJournal(path, SEARCH) as journal:
        journal.write(FactLearned("shape", "1x8x8"))

    with SqliteReader(path) as reader:
        assert reader.recover().facts == {"shape": "1x8x8"}


def test_a_reader_says_that_there_is_no_journal_and_makes_none(path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no journal at .*journal.sqlite. Has the search been started"):
        SqliteReader(path)
    assert not path.parent.exists()


def test_a_reader_refuses_an_empty_file(path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    with pytest.raises(JournalError, match="made by an older version of KubeNAS, or is empty"):
        SqliteReader(path)
