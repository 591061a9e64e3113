"""One meaning of each colour, in all dashboards."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

GOOD, WARNING, BAD, CALM, PALE = "green", "yellow", "red", "blue", "#8e8e8e"

Colours: TypeAlias = Mapping[str, str]
"""Colours by the names of series or values."""
SEARCHES: Colours = {"running": GOOD, "suspended": PALE, "succeeded": CALM, "failed": BAD}
TRIALS: Colours = {"succeeded": GOOD, "stopped_early": WARNING, "failed": BAD}
WORKERS: Colours = {"busy": GOOD, "idle": WARNING, "draining": CALM, "silent": BAD}
POOLS: Colours = {"wanted": CALM, "existing": WARNING, "alive": GOOD, "not yet alive": WARNING}
LEASES: Colours = {"alive": GOOD, "silent": BAD}
ENDINGS: Colours = {"finished": GOOD, "released": CALM, "lost": WARNING, "expired": BAD}
OUTCOMES: Colours = {"done": GOOD, "failed": BAD}
STAGES: Colours = {"pending": PALE, "leased": WARNING, "finished": GOOD}

Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""Colours from which value on; the first is None."""
ZERO_IS_GOOD: Steps = ((None, GOOD), (1, BAD))
