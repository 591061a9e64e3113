"""The consoles that commands print on."""

from rich.console import Console


def stdout(width: int | None = None) -> Console:
    """For results. Text is printed as it is: neither numbers nor `:name:` mean anything.

    Args:
        width: in characters. None: the terminal's.
    """
    return Console(highlight=False, emoji=False, soft_wrap=True, width=width)


def stderr() -> Console:
    """For errors."""
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
