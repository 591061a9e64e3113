"""How a command fails: one clear message on stderr and an exit code that scripts can tell apart."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    """Commands whose failures, and those of their command line, are printed as messages: no traceback, no box."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the options that stand before the command. Without arguments there is help."""
        if not args or ctx.resilient_parsing:  # the latter is completion
            return super().parse_args(ctx, args)
        with _told():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        with _told():
            return super().invoke(ctx)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        _tell(str(failure))
        raise typer.Exit(failure.exit_code) from failure
    except typer.TyperException as error:
        said = " ".join(error.format_message().split())
        ctx = getattr(error, "ctx", None)
        said += "" if said.endswith((".", "?")) else "."
        _tell(f"{said} See `{ctx.command_path} --help`" if ctx else said)
        raise typer.Exit(error.exit_code) from error


def _tell(message: str) -> None:
    stderr().print(Text.assemble(("error: ", "bold red"), message))
