"""Where failing earns more than training a search prefers failures: a person is told, in log and journal, once."""

import logging
from pathlib import Path

import pytest
import torch
from nas_api.spec import NASSearch
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.remarks import remarks
from nas_controller.search import Search

from .driven_engine import journal, manifest_of, tell_next

torch.set_num_threads(1)


def manifest(failed: float = 0.0) -> NASSearch:
    return manifest_of(
        {
            "searchSpace": {"convNet": {"layers": {"initial": 3, "max": 3}}},
            "controller": {"algorithm": {"type": "Random"}, "parallelism": {"batchSize": 1}},
            "reward": {"failedTrial": {"reward": failed}},
        }
    )


def train(search: NASSearch, records: SqliteJournal, *rewards: float | None) -> str:
    """Tells `rewards` (None: the trial fails) to a controller that was started anew. What is known in the end."""
    driven = Search(search, records)
    for reward in rewards:
        tell_next(driven, reward)
    return remarks(records).get("failedTrial", "")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_the_first_trial_that_is_worth_less_than_a_failed_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told = train(manifest(), journal(), 0.5, -1.5, -2.5)
    assert told.startswith("trial 2 was trained and has the reward -1.5, less than the 0 of a failed one")
    assert "spec.reward.failedTrial.reward" in told
    assert warnings(caplog) == [f"rewards: {told}"]


@pytest.mark.parametrize("failed", [0.0, -2.0])
def test_a_reward_that_is_not_less_is_not_told(failed: float, caplog: pytest.LogCaptureFixture) -> None:
    assert train(manifest(failed), journal(), failed, None, failed + 0.5) == ""
    assert warnings(caplog) == []


def test_a_restart_does_not_tell_it_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = set()
    for _ in range(2):
        with journal(tmp_path / "journal.sqlite") as records:
            told.add(train(manifest(), records, -1.5))
    assert len(told) == len(warnings(caplog)) == 1
    assert told != {""}
