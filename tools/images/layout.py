"""Images in a directory (OCI image layout), every layer once, and from there into archives and containerd.

Layers are not compressed: that takes longer than anything else, and every node would undo it again.
"""

import fcntl
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tools.images.running import ImagesError, output, require, run, signs_of_life

_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Layout:
    """A directory of images: `index.json` names them, `blobs` has what they are made of, by digest."""

    directory: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other process from changing it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def add_from_podman(self, name: str) -> None:
        """Copies an image from podman's store, but no layer that is here already.

        Raises:
            ImagesError: it cannot be copied.
        """
        require({"skopeo": "skopeo"})
        # Digests are those of layers as they are in the store, so skopeo does not compress, and knows what is here.
        run("skopeo", "copy", "--preserve-digests", f"containers-storage:{name}", f"oci:{self.directory}:{name}")

    def index(self, names: Iterable[str]) -> dict[str, Any]:
        """The index of some of the images, which containerd, too, finds their names in."""
        wanted = set(names)
        index: dict[str, Any] = json.loads((self.directory / "index.json").read_text())
        index["manifests"] = [m for m in index["manifests"] if m.get("annotations", {}).get(_NAME) in wanted]
        for manifest in index["manifests"]:
            manifest["annotations"][_CONTAINERD_NAME] = manifest["annotations"][_NAME]
        return index

    def digests(self, index: dict[str, Any]) -> list[str]:
        """The blobs of the images in an index, each once."""
        found: dict[str, None] = {}
        for entry in index["manifests"]:
            manifest = json.loads(self.blob(entry["digest"]).read_text())
            for part in (entry, manifest["config"], *manifest["layers"]):
                found[part["digest"]] = None
        return list(found)

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.directory / "blobs" / digest.replace(":", "/")

    def prune(self) -> None:
        """Removes the images that have lost their names to others, and what only they were made of."""
        path = self.directory / "index.json"
        index = json.loads(path.read_text())
        index["manifests"] = [manifest for manifest in index["manifests"] if "annotations" in manifest]
        path.write_text(json.dumps(index))
        used = {self.blob(digest) for digest in self.digests(index)}
        for blob in self.directory.glob("blobs/*/*"):
            if blob not in used:
                blob.unlink()

    def write(self, names: Iterable[str], file: IO[bytes], without: Iterable[str] = ()) -> None:
        """Writes images as an archive (tar) for `ctr images import`, `kind load image-archive` and the like.

        Args:
            names: of the images.
            file: where to.
            without: digests of blobs to leave away.
        """
        index = self.index(names)
        blobs = [self.blob(digest) for digest in self.digests(index) if digest not in set(without)]
        size = sum(blob.stat().st_size for blob in blobs)
        written = 0
        with (
            signs_of_life(lambda: f"{written / 1e6:,.0f} of {size / 1e6:,.0f} MB are through"),
            tarfile.open(fileobj=file, mode="w|") as archive,
        ):
            _add(archive, "index.json", json.dumps(index).encode())
            _add(archive, "oci-layout", (self.directory / "oci-layout").read_bytes())
            for blob in blobs:
                archive.add(blob, str(blob.relative_to(self.directory)))
                written += blob.stat().st_size

    def load_into_containerd(self, names: Iterable[str], ctr: tuple[str, ...]) -> None:
        """Brings images into containerd, but no blob that is there already: after a change of code only its thin layer.

        Args:
            names: of the images.
            ctr: containerd's client, with arguments that say where containerd listens and which namespace to use.

        Raises:
            ImagesError: containerd does not answer or does not take them.
        """
        there = output(*ctr, "content", "ls", "--quiet").split()
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(
                [*ctr, "images", "import", "-"], stdin=subprocess.PIPE, stdout=said, stderr=said
            ) as importing:
                assert importing.stdin is not None
                with suppress(BrokenPipeError), importing.stdin as pipe:  # where it ends early, it says why
                    self.write(names, pipe, without=there)
                with signs_of_life(lambda: "containerd unpacks them"):
                    importing.wait()
            said.seek(0)
            if importing.returncode:
                raise ImagesError(
                    f"containerd does not take the images: {said.read().decode(errors='replace').strip()}"
                )


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
