"""For all tests: how hypothesis tries properties, and what of one test must not reach the next.

Properties are tried with the same examples in each run, so that a run says the same of the same code. Others are found
with `--hypothesis-profile=explore`.
"""

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, and to think of it, is the machine's affair: tests assert no times.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _UNHURRIED, derandomize=True, database=None)
settings.register_profile("explore", _UNHURRIED, max_examples=1000, print_blob=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A `main` that a test calls sets logging up for the whole process, which runs other tests after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _the_same_numbers_drawn() -> None:
    """Whichever tests the process has run before, and whether it has run any."""
    if "torch" in sys.modules:  # not all tests need it, and it takes seconds
        sys.modules["torch"].manual_seed(0)
