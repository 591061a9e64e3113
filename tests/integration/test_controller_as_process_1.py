"""The controller as process 1 of a container: it ends when it is asked to, and leaves no zombie."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nas_controller.journal.reader import SqliteReader

from tests.integration.controller_process import ControllerProcess
from tests.integration.process_1 import Process1, children_of

SPEC = "  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}"


@pytest.fixture
def process(make_controller: Callable[[Path], ControllerProcess], tmp_path: Path) -> Iterator[Process1]:
    make_controller(tmp_path).write_manifest(SPEC)
    files = {"--manifest": "search.yaml", "--certificates": "server", "--state": "state", "--address-file": "address"}
    arguments = [part for option, name in files.items() for part in (option, str(tmp_path / name))]
    started = Process1([sys.executable, "-m", "nas_controller", *arguments], tmp_path / "log")
    yield started
    started.kill()


def test_asked_to_end_during_its_imports_it_ends(process: Process1) -> None:
    process.wait_until_it_handles(signal.SIGTERM)
    assert process.end() == 0


def test_asked_to_end_before_it_serves_it_ends(process: Process1, tmp_path: Path) -> None:
    process.eventually((tmp_path / "state/journal.sqlite").exists, "the journal is made")
    assert process.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_while_it_serves_it_closes_the_journal_and_ends(
    process: Process1, tmp_path: Path, number: signal.Signals
) -> None:
    process.eventually((tmp_path / "address").exists, "it serves")
    assert process.end(number) == 0
    assert not (tmp_path / "state/journal.sqlite-wal").exists()
    with SqliteReader(tmp_path / "state/journal.sqlite") as journal:
        assert journal.recover().epoch == 1


def test_it_reaps_what_a_shell_has_left(process: Process1, tmp_path: Path) -> None:
    process.eventually((tmp_path / "address").exists, "it serves")
    (learner,) = children_of(process.pid)
    process.leave_an_orphan()
    process.eventually(lambda: children_of(process.pid) == [learner], "the orphan is reaped")
