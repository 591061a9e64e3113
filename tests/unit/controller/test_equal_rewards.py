"""Equal rewards teach nothing: a person is told, in the log and in the journal, once each time that it begins."""

import logging
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from nas_api.spec import NASSearch
from nas_controller.equal_rewards import FACT, IN_A_ROW
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.search import Search

from .driven_engine import journal, manifest_of, tell_next

torch.set_num_threads(1)


def manifest(algorithm: str, **settings: object) -> NASSearch:
    return manifest_of(
        {
            "searchSpace": {"convNet": {"layers": {"initial": 3, "max": 3}}},
            "controller": {"algorithm": {"type": algorithm, **settings}, "parallelism": {"batchSize": 1}},
        }
    )


def train(search: NASSearch, records: SqliteJournal, rewards: Iterable[float | None]) -> list[str]:
    """Tells `rewards` (None: the trial fails) to a controller that was started anew. What is known after each."""
    driven, said = Search(search, records), []
    for reward in rewards:
        tell_next(driven, reward)
        said.append(records.recover().facts.get(FACT, ""))
    return said


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_equal_rewards_are_told_when_they_begin_and_not_again_for_every_trial(caplog: pytest.LogCaptureFixture) -> None:
    said = train(manifest("REINFORCE"), journal(), [0.3, *[0.125] * (IN_A_ROW + 5)])

    told = said[-1]
    assert told.startswith(
        f"the last {IN_A_ROW} trained architectures, up to trial {IN_A_ROW + 1}, have the reward 0.125: nothing can be"
    )
    assert "val_accuracy" in told
    assert said == [""] * IN_A_ROW + [told] * 6
    assert warnings(caplog) == [f"rewards: {told}"]


def test_they_are_told_again_when_they_begin_again(caplog: pytest.LogCaptureFixture) -> None:
    equal = [0.125] * IN_A_ROW
    said = train(manifest("REINFORCE"), journal(), [*equal, 0.5, *equal])

    assert said[IN_A_ROW - 1].startswith(f"all {IN_A_ROW} trained architectures")
    assert said[IN_A_ROW] == ""
    assert said[-1].startswith(f"the last {IN_A_ROW} trained architectures, up to trial {2 * IN_A_ROW + 1},")
    assert len(warnings(caplog)) == 2


def test_few_equal_rewards_are_told_of_the_first_trials_alone() -> None:
    """When a reward model is asked for the first time, that all were equal matters; later two alike are chance."""
    search = manifest("Editing", editing={"initialSamples": 2})
    assert train(search, journal(), [0.8, 0.8])[-1].startswith("all 2 trained architectures")
    assert train(search, journal(), [0.1, 0.8, 0.8, 0.8]) == [""] * 4


def test_trials_that_fail_between_them_tell_nothing() -> None:
    said = train(manifest("REINFORCE"), journal(), [*[0.125] * 9, None, *[0.125] * (IN_A_ROW - 9)])
    assert said[-1]
    assert not said[-2]


def test_a_restart_goes_on_counting_and_does_not_tell_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search, file = manifest("REINFORCE"), tmp_path / "journal.sqlite"
    for trials, told in ((IN_A_ROW - 1, 0), (1, 1), (3, 1)):
        with journal(file) as records:
            train(search, records, [0.125] * trials)
        assert len(warnings(caplog)) == told


@pytest.mark.parametrize("initial", [2, 16])
def test_editing_whose_reward_model_has_nothing_to_choose_by_goes_on_and_tells(initial: int) -> None:
    editing = {"initialSamples": initial, "candidates": 20, "parents": 4}
    said = train(manifest("Editing", editing=editing), journal(), [0.125] * (initial + 4))

    assert said[initial - 2] == ""
    assert said[initial - 1] == said[-1]
    assert f"all {initial} trained architectures" in said[-1]
    assert "the reward model finds no proposal better than another, so they are trained as they are drawn" in said[-1]
