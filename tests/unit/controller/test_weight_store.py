"""What final trainings leave is kept whole, or not at all."""

import hashlib
import os
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_controller.weight_store import RESERVE, WeightStore, kept_file

DATA = bytes(range(256)) * 10
DIGEST = hashlib.sha256(DATA).hexdigest()


def sent(store: WeightStore, token: str, data: bytes = DATA, digest: str = DIGEST, piece: int = 1000) -> bool:
    """Sends all of it, as a worker does."""
    offset = 0
    while offset < len(data):
        offset = store.receive(token, offset, data[offset : offset + piece], len(data))
    return store.verify(token, len(data), digest)


def files(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def test_what_was_sent_whole_is_kept_under_the_number_of_its_training(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "weights")
    assert sent(store, "lease")
    assert store.size("lease") == len(DATA)
    store.keep("lease", 7)

    assert kept_file(tmp_path / "weights", 7).read_bytes() == DATA
    assert store.size("lease") == len(DATA)  # the controller may be killed before the result is durable
    store.discard("lease")
    assert files(tmp_path / "weights") == ["000007.tar"]
    assert store.size("lease") == 0


def test_a_file_system_without_hard_links_keeps_it_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError("Operation not permitted")  # as of vfat

    monkeypatch.setattr("os.link", link)
    store = WeightStore(tmp_path)
    assert sent(store, "lease")
    store.keep("lease", 7)
    assert kept_file(tmp_path, 7).read_bytes() == DATA


@given(offsets=st.lists(st.integers(0, len(DATA)), max_size=20))
def test_pieces_that_come_twice_or_out_of_order_change_nothing(
    offsets: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = WeightStore(tmp_path_factory.mktemp("weights"))
    there = 0
    for offset in offsets:
        answer = store.receive("lease", offset, DATA[offset : offset + 700], len(DATA))
        assert answer == (min(offset + 700, len(DATA)) if offset == there else there)
        there = answer
    while there < len(DATA):
        there = store.receive("lease", there, DATA[there : there + 700], len(DATA))
    assert store.verify("lease", len(DATA), DIGEST)


def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    WeightStore(tmp_path).receive("lease", 0, DATA[:1000], len(DATA))
    store = WeightStore(tmp_path)
    store.sweep(set(), {"lease"})

    assert store.receive("lease", 0, DATA[:500], len(DATA)) == 1000
    assert store.receive("lease", 1000, DATA[1000:], len(DATA)) == len(DATA)
    assert store.verify("lease", len(DATA), DIGEST)
    # and once more: the answer was lost
    assert store.receive("lease", 0, DATA[:500], len(DATA)) == len(DATA)
    assert store.verify("lease", len(DATA), DIGEST)


def test_what_was_said_to_be_durable_has_a_name_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survive: dict[Path, list[str]] = {}  # of each directory the names that the last fsync of it has made durable
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            survive[path] = files(path)

    monkeypatch.setattr("os.fsync", synced)
    directory = tmp_path / "weights"
    store = WeightStore(directory)

    assert sent(store, "lease")
    assert survive == {tmp_path: ["weights"], directory: files(directory)}
    survive.clear()
    assert store.verify("lease", len(DATA), DIGEST)  # it was killed before its names were durable
    assert survive == {tmp_path: ["weights"], directory: files(directory)}
    store.keep("lease", 7)
    assert survive[directory] == files(directory)


def test_what_arrives_otherwise_than_it_was_sent_is_forgotten(tmp_path: Path) -> None:
    store = WeightStore(tmp_path)
    assert not sent(store, "lease", DATA[::-1])
    assert files(tmp_path) == []
    assert sent(store, "lease")


def test_a_sweep_leaves_what_belongs_to_trainings_that_count_and_to_leases_that_are_held(tmp_path: Path) -> None:
    store = WeightStore(tmp_path)
    for number, token in enumerate(("a", "b", "c", "d"), start=1):
        assert sent(store, token)
        if number <= 2:
            store.keep(token, number)
    store.sweep({2}, {"c"})

    assert files(tmp_path) == sorted(["000002.tar", next(n for n in files(tmp_path) if n.endswith(".whole"))])
    assert store.size("c") == len(DATA)
    assert store.size("d") == 0


def test_the_journal_is_left_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = RESERVE + 1000
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**12, 0, free))
    store = WeightStore(tmp_path)
    assert store.receive("lease", 0, DATA[:1000], len(DATA)) == 1000
    with pytest.raises(OSError, match="no space left but what the journal needs"):
        store.receive("lease", 1000, DATA[1000:2001], len(DATA))
    assert "no space left" in store.problem

    free = RESERVE + 10_000
    assert store.receive("lease", 1000, DATA[1000:], len(DATA)) == len(DATA)
    assert store.verify("lease", len(DATA), DIGEST)


def test_storage_that_takes_nothing_is_told_until_it_does_again(tmp_path: Path) -> None:
    blocked = tmp_path / "weights"
    blocked.write_text("a file where the directory should be")
    store = WeightStore(blocked)
    with pytest.raises(FileExistsError):
        store.receive("lease", 0, DATA, len(DATA))
    assert "cannot be written" in store.problem

    blocked.unlink()
    assert sent(store, "lease")
    assert store.problem == ""
