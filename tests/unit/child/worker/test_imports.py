"""What each process of a worker loads."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("process", "foreign"),
    [
        ("nas_child.command", "torch"),  # holds one connection, and should be small
        ("nas_child.fork_server", "torch"),  # loads it when the device has been chosen
        ("nas_child.fork_server", "grpc"),  # does not survive a fork
    ],
)
def test_a_process_loads_only_what_is_its_own(process: str, foreign: str) -> None:
    code = f"import sys, {process}; sys.exit({foreign!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
