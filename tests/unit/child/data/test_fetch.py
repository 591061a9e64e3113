"""Remote data and archives are copied once, whole or not at all, however many workers ask."""

import functools
import http.server
import multiprocessing
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from nas_api.spec.trainer import Dataset
from nas_child.data.fetch import fetch
from nas_child.data.reading import read
from nas_child.task import TaskError

from tests.unit.child.data.formats import (
    FORMATS,
    write_cifar10_binary,
    write_cifar10_python,
    write_image_folder,
    write_npz,
)


class Server(http.server.ThreadingHTTPServer):
    gets: list[str]


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.gets.append(self.path)
        super().do_GET()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server: its address, the folder that it serves, and the paths that were asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    server.gets = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, server.gets
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_local_path_is_used_where_it_is(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    assert fetch(str(path), tmp_path / "cache") == path
    assert fetch(f"file://{path}", tmp_path / "cache") == path
    assert not (tmp_path / "cache").exists()


def test_a_uri_is_downloaded_once(served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, folder, gets = served
    write_npz(folder)
    dataset = Dataset(path=f"{address}/small.npz")
    assert len(read(dataset, "train", tmp_path / "cache")) == 60
    asked = len(gets)
    assert len(read(dataset, "test", tmp_path / "cache")) == 12
    assert asked > 0
    assert len(gets) == asked


def test_workers_that_start_together_download_once(served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, folder, gets = served
    write_npz(folder)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=fetch, args=(f"{address}/small.npz", tmp_path / "cache")) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert gets == ["/small.npz"]


def pack(folder: Path, archive: Path) -> Path:
    if archive.suffix == ".zip":
        return Path(shutil.make_archive(str(archive.with_suffix("")), "zip", folder.parent, folder.name))
    with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as tar:
        tar.add(folder, arcname=folder.name)
    return archive


@pytest.mark.parametrize(
    ("write", "folder", "archive"),
    [
        (write_cifar10_binary, "cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
        (write_cifar10_python, "cifar-10-batches-py", "cifar-10-python.tar.gz"),
        (write_image_folder, "flowers", "flowers.zip"),
        (FORMATS["IDX"][0], "raw", "mnist.tar"),
    ],
)
def test_archives_are_read_as_distributed(
    write: "type", folder: str, archive: str, served: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    address, public, _ = served
    path = pack(write(tmp_path / folder), public / archive)
    local = read(Dataset(path=str(path)), "train", tmp_path / "cache")
    remote = read(Dataset(path=f"{address}/{archive}"), "train", tmp_path / "cache")
    assert len(local) == len(remote)
    assert local.images.equal(remote.images)


def test_a_folder_behind_a_uri_is_downloaded_whole(tmp_path: Path) -> None:
    """With `local://`, which fsspec treats like a bucket."""
    root = write_image_folder(tmp_path / "flowers")
    train = read(Dataset(path=f"local://{root}"), "train", tmp_path / "cache")
    assert len(train) == 12
    shutil.rmtree(root)
    assert len(read(Dataset(path=f"local://{root}"), "train", tmp_path / "cache")) == 12


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("{address}/missing.npz", r"missing.npz: cannot be fetched: FileNotFoundError"),
        ("http://127.0.0.1:1/a.npz", r"a.npz: cannot be fetched: .*Cannot connect"),
        ("nonsense://bucket/a.npz", r"cannot be fetched: ValueError: Protocol not known: nonsense"),
        ("s3://bucket/a.npz", r"cannot be fetched: ImportError: Install s3fs"),
    ],
)
def test_what_cannot_be_fetched_leaves_nothing_behind(
    uri: str, message: str, served: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(TaskError, match=message):
        fetch(uri.format(address=served[0]), tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")] == []


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = pack(write_cifar10_binary(tmp_path / "cifar"), tmp_path / "cifar.tar.gz")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(TaskError, match=r"cifar.tar.gz: the archive cannot be unpacked"):
        fetch(str(path), tmp_path / "cache")
    path.write_bytes(b"hello")
    with pytest.raises(TaskError, match=r"cifar.tar.gz: the archive cannot be unpacked"):
        fetch(str(path), tmp_path / "cache")


def test_an_archive_cannot_write_outside_of_the_cache(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("evil")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil", arcname="../../escaped")
    with pytest.raises(TaskError, match=r"evil.tar: the archive cannot be unpacked: .*outside"):
        fetch(str(tmp_path / "evil.tar"), tmp_path / "cache" / "deep")
    assert not (tmp_path / "escaped").exists()


def test_a_changed_archive_is_unpacked_again(tmp_path: Path) -> None:
    archive = tmp_path / "flowers.tar"
    pack(write_image_folder(tmp_path / "flowers"), archive)
    first = read(Dataset(path=str(archive)), "train", tmp_path / "cache")
    (tmp_path / "flowers" / "train" / "a" / "00.png").unlink()
    pack(tmp_path / "flowers", archive)
    assert len(read(Dataset(path=str(archive)), "train", tmp_path / "cache")) == len(first) - 1
