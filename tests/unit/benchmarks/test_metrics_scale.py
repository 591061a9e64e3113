"""How many series a search has depends on its manifest alone, and is what docs/metrics.md says."""

import json
import re
from pathlib import Path

import metrics_scale
import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def test_neither_workers_nor_trials_make_series(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["metrics_scale.py", "--searches", "2", "--workers", "20", "--trials", "50"])
    assert metrics_scale.main() == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["most_series_of_a_search"] == measured["series_of_a_small_search"]
    assert measured["new_series_after_trials"] == 0
    said = re.search(r"(\d+) series and", PAGE)
    assert said is not None
    assert measured["series_of_a_small_search"] == int(said[1])
