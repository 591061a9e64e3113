"""The custom resources of the Prometheus operator, as its Go module has them (Apache-2.0), without the operator."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cluster.layout import cache_directory
from tests.cluster.programs import MODULE, required_version
from tests.cluster.progress import say
from tests.cluster.toolchain import obtain_go

_NAME, _VERSION = "github.com/prometheus-operator/prometheus-operator", "v0.85.0"
_CHECKSUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="  # as in a go.sum
_PLURALS = ("podmonitors", "prometheusrules")


def custom_resource_definitions() -> list[Path]:
    """Files with the CRDs of PodMonitor and PrometheusRule. They are downloaded once, and kept beside the programs.

    Raises:
        RuntimeError: They cannot be had.
        ValueError: They are not what they were.
    """
    kept = cache_directory() / f"prometheus-operator-{_VERSION}"
    files = [kept / _file(plural) for plural in _PLURALS]
    if not all(file.exists() for file in files):
        say(f"Downloading the CRDs of the Prometheus operator {_VERSION}")
        _download(kept)
    return files


def _download(directory: Path) -> None:
    go = obtain_go(cache_directory(), required_version((MODULE / "go.mod").read_text(), "go"))
    with tempfile.TemporaryDirectory() as modules:
        settings = {"GOMODCACHE": modules, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-modcacherw"}
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{_NAME}@{_VERSION}"],
            cwd=modules,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        said = json.loads(done.stdout or "{}")
        if done.returncode:
            raise RuntimeError(f"{_NAME}@{_VERSION} could not be downloaded: {said.get('Error') or done.stderr}")
        if said["Sum"] != _CHECKSUM:
            raise ValueError(f"{_NAME}@{_VERSION} has the checksum {said['Sum']}, not {_CHECKSUM}")
        directory.mkdir(parents=True, exist_ok=True)
        for plural in _PLURALS:
            source = Path(said["Dir"], "example", "prometheus-operator-crd", _file(plural))
            with tempfile.TemporaryDirectory(dir=directory) as partial:  # another run of tests takes it whole, or not
                shutil.copyfile(source, Path(partial, plural)).replace(directory / _file(plural))


def _file(plural: str) -> str:
    return f"monitoring.coreos.com_{plural}.yaml"
