"""Running a program and getting its answer."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CommandError(Exception):
    """A program exited with another status than 0.

    Attributes:
        stderr: What it said.
    """

    def __init__(self, command: Sequence[str], stdout: str, stderr: str) -> None:
        super().__init__(f"{' '.join(command)}\n{stdout}{stderr}".strip())
        self.stderr = stderr


def run(
    program: str | Path,
    *arguments: str | Path,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = 600,
) -> str:
    """Runs a program and returns what it wrote to its standard output.

    Raises:
        CommandError: It exited with another status than 0.
        subprocess.TimeoutExpired: It took longer than `timeout` seconds.
    """
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=environment, timeout=timeout, check=False
    )
    if done.returncode:
        raise CommandError([Path(program).name, *command[1:]], done.stdout, done.stderr)
    return done.stdout
