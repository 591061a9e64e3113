"""A journal whose process was killed, or whose log was cut short, has every acknowledged write, and each one whole."""

import os
import random
import shutil
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from nas_controller.journal.sqlite import SqliteJournal

from .study import Study, random_writes

WRITER = Path(__file__).with_name("writer_process.py")


@pytest.mark.parametrize("seed", range(12))
def test_a_killed_writer_leaves_all_that_it_acknowledged_and_whole_transactions_only(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    kill_after = (1, 2, 10, 100, 400, 1000)[seed % 6]
    acknowledged: list[int] = []
    with subprocess.Popen([sys.executable, WRITER, path, str(seed)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) == kill_after:
                os.kill(writer.pid, signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    assert acknowledged == list(range(1, len(acknowledged) + 1))

    with SqliteJournal(path, "default/digits") as journal:
        written = int(journal.recover().facts["write"])
        assert written >= len(acknowledged)
        study = Study(snapshot_bytes=30_000, state_bytes=60_000)
        for _ in islice(random_writes(study, seed), written):
            pass
        study.check(journal)
        # and it goes on from there
        journal.write(*study.start(0)).result()
        study.check(journal)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 12), cut=st.floats(0, 1), torn=st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_log_that_was_cut_anywhere_holds_exactly_the_writes_that_were_complete_before_the_cut(
    seed: int, count: int, cut: float, torn: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a loss of power leaves: the log's end never reached the disk, or reached it as garbage (`torn`)."""
    directory = tmp_path_factory.mktemp("journal")
    path, log = directory / "journal.sqlite", directory / "journal.sqlite-wal"
    crashed = tmp_path_factory.mktemp("crashed") / "journal.sqlite"
    with SqliteJournal(path, "default/digits") as journal:
        journal.write(*Study().learn_fact(0)).result()
        sizes = [log.stat().st_size]  # of the log when each write was durable
        for records in islice(random_writes(Study(), seed), count):
            journal.write(*records).result()
            sizes.append(log.stat().st_size)
        shutil.copy(path, crashed)
        content = log.read_bytes()
    kept = sizes[0] + int(cut * (sizes[-1] - sizes[0]))
    garbage = random.Random(seed).randbytes(len(content) - kept) if torn else b""
    crashed.with_name("journal.sqlite-wal").write_bytes(content[:kept] + garbage)

    whole = max(number for number, size in enumerate(sizes) if size <= kept)
    study = Study()
    study.learn_fact(0)
    for _ in islice(random_writes(study, seed), whole):
        pass
    with SqliteJournal(crashed, "default/digits") as journal:
        study.check(journal)
