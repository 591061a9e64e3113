"""Fetching of remote data, once for all workers of a machine.

Run as a program it downloads one URI. The download gets a process of its own because file systems of fsspec start
threads, and a worker that has threads cannot fork safely.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from nas_child.task import TaskError

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


def fetch(path: str, cache: Path) -> Path:
    """A local file or folder with the data at `path`.

    A remote URI is downloaded into `cache`, an archive unpacked into it, unless that was done before.

    Args:
        path: a path, or a URI that fsspec knows (https://, s3://, gs://, ...).
        cache: created if need be. Several processes may share it.

    Raises:
        TaskError: there is nothing at `path`, it cannot be downloaded, or the archive is corrupt.
    """
    if "://" in path and not path.startswith("file://"):
        name = path.split("?")[0].rstrip("/").rpartition("/")[2]
        local = _once(cache, path, name, lambda target: _download(path, target))
    else:
        local = Path(path.removeprefix("file://")).expanduser()
        if not local.exists():
            raise TaskError(f"{local}: no such file or folder (trainer.dataset.path; working directory {Path.cwd()})")
        if not os.access(local, os.R_OK):
            raise TaskError(f"{local}: no permission to read it")
    if local.name.endswith(_ARCHIVES) and local.is_file():
        status = local.stat()
        key = f"{local.resolve()} {status.st_size} {status.st_mtime_ns}"
        return _once(cache, key, f"{local.name}-unpacked", lambda target: _unpack(local, target))
    return local


def _once(cache: Path, key: str, name: str, make: Callable[[Path], None]) -> Path:
    """The file or folder that `make` makes, in the cache. It is complete when it has its name."""
    final = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}-{name}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f".{final.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # falls with the process, so a crash leaves no lock behind
            if not final.exists():
                with tempfile.TemporaryDirectory(dir=cache, prefix=".partial-") as partial:
                    target = Path(partial) / name
                    make(target)
                    target.rename(final)
    except OSError as error:
        raise TaskError(f"{cache}: cannot keep a copy of the data there: {error}") from error
    return final


def _unpack(archive: Path, target: Path) -> None:
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zip_file:
                zip_file.extractall(target)  # noqa: S202 - zipfile strips .. and leading slashes
        else:
            with tarfile.open(archive) as tar_file:
                tar_file.extractall(target, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        raise TaskError(f"{archive}: the archive cannot be unpacked: {error}") from error


def _download(uri: str, target: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nas_child.data.fetch", uri, str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TaskError(f"{uri}: cannot be fetched: {done.stderr.strip()}")


def _main(uri: str, target: Path) -> None:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(uri)
        if path.endswith((".npz", *_ARCHIVES)) or not system.isdir(path):
            system.get_file(path, str(target))
        else:
            system.get(path.rstrip("/") + "/", str(target), recursive=True)
    except Exception as error:  # each file system has exceptions of its own
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
