"""Programs that are run: those that take long say what they are at, and those that are missing are installed."""

import os
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# Seconds between two signs of life, and how many lines to show of a program that failed.
_SIGN_OF_LIFE = 10.0
_LINES = 40


class ImagesError(Exception):
    """Images cannot be built, or not be brought where they should go; the message says why and what to do."""


def say(text: str) -> None:
    """Tells the user what goes on."""
    print(f"==> {text}", flush=True)


def output(*command: str) -> str:
    """What a program writes.

    Raises:
        ImagesError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImagesError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a program can be run and ends well."""
    return bool(shutil.which(command[0])) and not subprocess.run(command, capture_output=True, check=False).returncode


@contextmanager
def signs_of_life(doing: Callable[[], str]) -> Iterator[None]:
    """Tells the user every ten seconds that something takes long.

    Args:
        doing: gives what to say of it.
    """
    done = threading.Event()
    started = time.monotonic()

    def show() -> None:
        while not done.wait(_SIGN_OF_LIFE):
            print(f"    {time.monotonic() - started:4.0f} s, {doing()}", flush=True)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs a program that takes long, of which the user sees every ten seconds what it has said last.

    Raises:
        ImagesError: it failed; the message holds its last lines.
    """
    last: deque[str] = deque(["it has said nothing yet"], maxlen=_LINES)
    with (
        signs_of_life(lambda: f"after: {last[-1][:100]}"),
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
        ) as process,
    ):
        assert process.stdout is not None
        last.extend(line.rstrip() for line in process.stdout if line.strip())
    if process.returncode:
        raise ImagesError("\n".join([*last, f"{command[0]} failed with status {process.returncode}, see above"]))


def require(programs: Mapping[str, str]) -> None:
    """Installs the Debian packages of programs that are missing.

    Args:
        programs: the package of each program.

    Raises:
        ImagesError: they cannot be installed here.
    """
    packages = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if not packages:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise ImagesError(f"install these first: {', '.join(packages)}")
    say(f"Installing {', '.join(packages)}")
    run("apt-get", "-qq", "update")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages, environment=environment)
