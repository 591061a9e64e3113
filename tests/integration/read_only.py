"""A program as a container restricts it: a user without a name or a home, on a file system that is read-only."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

USER = 65532
# Made as the container has them: its inputs, and the two places that it may write to.
INPUTS, VOLUME, TMP = "/mnt", "/srv", "/tmp"
_AS_USER = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
_REPOSITORY = Path(__file__).parents[2]


def restricted(command: Sequence[str], inputs: Path, environment: dict[str, str]) -> list[str]:
    """The command line that runs `command` so, with the directory `inputs` as its working directory, at `INPUTS`.

    Skips the test where nobody may mount, and where the repository lies in the directory that is to be empty.
    """
    if _REPOSITORY.is_relative_to(TMP):
        pytest.skip(f"this checkout lies in {TMP}, which a container has for itself")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount: that needs root")
    for path in (inputs, *inputs.rglob("*")):
        os.chown(path, USER, USER)
    steps = [
        "set -e",
        f"mount --bind {shlex.quote(str(inputs))} {INPUTS}",
        *_made_readable(),
        "mount -o remount,bind,ro /",
        *(f"mount -t tmpfs -o mode=1777 tmpfs {directory}" for directory in (VOLUME, TMP)),
        f"cd {INPUTS}",
        f"exec {shlex.join([*_AS_USER, 'env', '-i', *(f'{k}={v}' for k, v in environment.items()), *command])}",
    ]
    return ["unshare", "--mount", "sh", "-c", "\n".join(steps)]


def _made_readable() -> list[str]:
    """Python and this repository may lie in a directory of root's own, which hides everything else in it, then."""
    needed = sorted({Path(sys.base_prefix), Path(sys.prefix), _REPOSITORY})
    hidden = {parent for path in needed for parent in path.parents if not parent.stat().st_mode & 0o001}
    outermost = [path for path in hidden if not hidden.intersection(path.parents)]
    steps = ["mount -t tmpfs tmpfs /media"]
    for number, path in enumerate(needed):
        steps += [f"mkdir /media/{number}", f"mount --bind {shlex.quote(str(path))} /media/{number}"]
    steps += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(path))}" for path in outermost]
    for number, path in enumerate(needed):
        if any(parent in outermost for parent in path.parents):
            quoted = shlex.quote(str(path))
            steps += [f"mkdir -p {quoted}", f"mount --bind /media/{number} {quoted}"]
    return steps
