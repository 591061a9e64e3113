"""How a command fails: one clear message on stderr and an exit code that scripts can tell apart."""

from typing import Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from nas_cli.terminal import stderr

FAILED = 1
BAD_INPUT = 2


class Failure(Exception):  # noqa: N818 - what a person calls it
    """The command could not do it. The message says what went wrong, where, and what to do."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class BadInput(Failure):
    """The command was asked for something that cannot be: a file, name or value that the user has to change."""

    def __init__(self, message: str) -> None:
        super().__init__(message, BAD_INPUT)


class CommandGroup(TyperGroup):
    """Commands whose `Failure` is printed as a message, not as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            stderr().print(Text.assemble(("error: ", "bold red"), str(failure)))
            raise typer.Exit(failure.exit_code) from failure
