"""What tests on a cluster share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["in this process", "in another"])
def test_the_figures_that_a_test_records_are_printed_at_the_end(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.cluster.fixtures import pytest_terminal_summary\n")
    (tmp_path / "test_it.py").write_text(
        "def test_it(record_property):\n    record_property('requests', {'create': 800})\n\ndef test_other(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", *options, "test_it.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "= figures of test_it =" in ended.stdout
    assert "\nrequests: {'create': 800}\n" in ended.stdout
    assert "test_other" not in ended.stdout
