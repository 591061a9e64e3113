"""Small container images, made without a builder: a few files in one layer, as an OCI archive."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_image(archive: Path, name: str, files: Mapping[str, Path], entrypoint: Sequence[str] = ()) -> None:
    """Writes an image.

    Args:
        archive: Where to.
        name: Full name with tag, such as `localhost/tool:test`.
        files: What is in the image, by path in it.
        entrypoint: The command that its containers run.
    """
    layer = _layer(files)
    compressed = gzip.compress(layer, compresslevel=1, mtime=0)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = [compressed, _json(config)]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor(blobs[1], "application/vnd.oci.image.config.v1+json"),
        "layers": [_descriptor(blobs[0], "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    blobs.append(_json(manifest))
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    entry = {**_descriptor(blobs[2], manifest["mediaType"]), "annotations": annotations}
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        for blob in blobs:
            _add(tar, f"blobs/{_digest(blob).replace(':', '/')}", blob)


def _layer(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, source in files.items():
            _add(tar, path.lstrip("/"), source.read_bytes(), mode=0o755)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    entry.mode = mode
    tar.addfile(entry, io.BytesIO(content))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(blob: bytes, media_type: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
