"""Images made without a builder."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.cluster.images import write_image


def test_an_archive_holds_a_chain_of_digests_from_its_index_to_its_files(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    write_image(tmp_path / "image.tar", "localhost/tool:test", {"/bin/tool": program}, ["/bin/tool"])

    with tarfile.open(tmp_path / "image.tar") as archive:
        content = {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))}

    def blob(descriptor: dict[str, Any]) -> bytes:
        found = content[f"blobs/{descriptor['digest'].replace(':', '/')}"]
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(found).hexdigest()}"
        assert descriptor["size"] == len(found)
        return found

    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/tool:test"
    manifest = json.loads(blob(entry))
    config = json.loads(blob(manifest["config"]))
    assert config["config"]["Entrypoint"] == ["/bin/tool"]
    layer = gzip.decompress(blob(manifest["layers"][0]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        tool = files.getmember("bin/tool")
        assert tool.mode == 0o755
        assert (extracted := files.extractfile(tool)) is not None
        assert extracted.read() == b"#!/bin/sh\n"
