"""Images on disk: what is written, what is left away, what is removed."""

import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tools.images.layout import Layout
from tools.images.running import ImagesError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Two images with one layer in common, and one layer and configuration each."""
    directory = tmp_path / "images"
    (directory / "blobs/sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
    add(directory, "localhost/kubenas/controller:dev", ["torch", "controller"])
    add(directory, "localhost/kubenas/child:dev", ["torch", "child"])
    return Layout(directory)


def add(directory: Path, name: str, layers: list[str]) -> None:
    """Adds an image as skopeo does: an image that had the name loses it, and stays."""

    def blob(content: str) -> dict[str, Any]:
        digest = hashlib.sha256(content.encode()).hexdigest()
        (directory / "blobs/sha256" / digest).write_text(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    manifest = {"config": blob(f"configuration of {layers}"), "layers": [blob(layer) for layer in layers]}
    index = json.loads((directory / "index.json").read_text())
    for entry in index["manifests"]:
        if entry.get("annotations") == {"org.opencontainers.image.ref.name": name}:
            del entry["annotations"]
    entry = {**blob(json.dumps(manifest)), "annotations": {"org.opencontainers.image.ref.name": name}}
    index["manifests"].append(entry)
    (directory / "index.json").write_text(json.dumps(index))


def contents(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar}  # type: ignore[union-attr]


def layers_in(archive: bytes) -> list[str]:
    return sorted(text for text in contents(archive).values() if text in {"torch", "controller", "child"})


def containerd(directory: Path, there: list[str], status: int = 0) -> tuple[str, ...]:
    """A client of a containerd that has some blobs, and keeps what it gets in `imported.tar`."""
    program = directory / "ctr"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1 $2" in\n'
        f"'content ls') printf '%s\\n' {' '.join(there)};;\n"
        f"'images import') cat >{directory}/imported.tar; echo 'no space left on device'; exit {status};;\n"
        "esac\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return (str(program),)


NAMES = ["localhost/kubenas/controller:dev", "localhost/kubenas/child:dev"]


def test_an_archive_holds_a_shared_layer_once(layout: Layout) -> None:
    archive = io.BytesIO()
    layout.write(NAMES, archive)
    assert layers_in(archive.getvalue()) == ["child", "controller", "torch"]


def test_an_archive_holds_only_the_images_asked_for(layout: Layout) -> None:
    archive = io.BytesIO()
    layout.write(NAMES[:1], archive)
    assert layers_in(archive.getvalue()) == ["controller", "torch"]


def test_an_archive_names_images_for_containerd(layout: Layout) -> None:
    archive = io.BytesIO()
    layout.write(NAMES, archive)
    index = json.loads(contents(archive.getvalue())["index.json"])
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == NAMES


def test_containerd_gets_no_blob_that_it_has(layout: Layout, tmp_path: Path) -> None:
    torch = f"sha256:{hashlib.sha256(b'torch').hexdigest()}"
    layout.load_into_containerd(NAMES, containerd(tmp_path, [torch]))
    imported = (tmp_path / "imported.tar").read_bytes()
    assert layers_in(imported) == ["child", "controller"]
    assert len(json.loads(contents(imported)["index.json"])["manifests"]) == 2


def test_containerd_that_takes_no_images_is_quoted(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="no space left on device"):
        layout.load_into_containerd(NAMES, containerd(tmp_path, [], status=1))


def test_an_image_that_lost_its_name_goes_with_what_only_it_was_made_of(layout: Layout) -> None:
    add(layout.directory, NAMES[1], ["torch", "new child"])
    layout.prune()
    blobs = {path.read_text() for path in layout.directory.glob("blobs/sha256/*")}
    assert "child" not in blobs
    assert {"torch", "controller", "new child"} <= blobs
    assert len(json.loads((layout.directory / "index.json").read_text())["manifests"]) == 2


def test_pruning_what_needs_none_changes_nothing(layout: Layout) -> None:
    before = {path: path.read_bytes() for path in layout.directory.rglob("*") if path.is_file()}
    layout.prune()
    assert {path: path.read_bytes() for path in layout.directory.rglob("*") if path.is_file()} == before
