"""The consoles that commands print on."""

from rich.console import Console


def stdout() -> Console:
    """For results. Text is printed as it is: neither numbers nor `:name:` mean anything."""
    return Console(highlight=False, emoji=False, soft_wrap=True)


def stderr() -> Console:
    """For errors."""
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
