"""`Search`: a search driven by ask and tell from the caller's own loop."""

import textwrap
import time
from pathlib import Path

import pytest
import torch
from nas_api.architectures import ConvNet, ImageShape
from nas_api.manifest import dump_manifest, load_manifest
from nas_api.spec import NASSearch
from nas_controller import search as search_module
from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import TrialState
from nas_controller.journal.reader import SqliteReader
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.progress import Verdict
from nas_controller.search import Search, SearchEndedError, SearchSuspendedError

torch.set_num_threads(1)


def manifest(**spec: object) -> NASSearch:
    small = {"searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}}}
    return NASSearch.model_validate(
        {
            "apiVersion": "kubenas.dev/v1alpha1",
            "kind": "NASSearch",
            "metadata": {"name": "test"},
            "spec": {**small, **spec},
        }
    )


def journal(path: Path | str = ":memory:") -> SqliteJournal:
    return SqliteJournal(path, "default/test")


def test_asked_architectures_are_of_the_space_and_numbered_from_one() -> None:
    search = Search(manifest(), journal())

    asked = search.ask(3)

    assert [trial.number for trial in asked] == [1, 2, 3]
    assert all(isinstance(trial.architecture, ConvNet) and len(trial.architecture.layers) == 2 for trial in asked)


def test_a_batch_told_is_an_update_of_the_policy() -> None:
    search = Search(manifest(controller={"parallelism": {"batchSize": 4}}), journal())

    for trial in search.ask(4):
        search.tell(trial, 0.5)

    assert search.engine.version == 1
    assert search.engine.last_update is not None
    assert search.engine.last_update.lag == 0


def test_a_search_ends_with_its_budget_and_asks_no_more_than_it() -> None:
    search = Search(manifest(budget={"maxTrials": 10}), journal())

    asked = search.ask(100)
    assert len(asked) == 10
    for trial in asked:
        search.tell(trial, 0.5)

    assert search.ended
    with pytest.raises(SearchEndedError, match="10 trials have finished"):
        search.ask()


def test_the_last_batch_is_as_large_as_the_budget_leaves_it_and_is_learnt() -> None:
    search = Search(
        manifest(budget={"maxTrials": 10}, controller={"parallelism": {"batchSize": 4}}), records := journal()
    )

    for trial in search.ask(10):
        search.tell(trial, 0.5)

    assert search.engine.version == 3  # 4 + 4 + 2
    assert len(records.finished()) == 10


def test_a_failed_trial_earns_the_reward_of_failed_trials() -> None:
    search = Search(manifest(reward={"failedTrial": {"reward": -1.5}}), records := journal())
    (trial,) = search.ask(1)

    search.tell_failed(trial, "diverged")

    (record,) = records.finished()
    assert (record.state, record.reward, record.message) == (TrialState.FAILED, -1.5, "diverged")


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_refused_and_nothing_is_lost(reward: float) -> None:
    search = Search(manifest(), journal())
    (trial,) = search.ask(1)

    with pytest.raises(ValueError, match="tell_failed"):
        search.tell(trial, reward)

    search.tell(trial, 0.5)  # it is still asked for


def test_a_trial_cannot_be_told_twice() -> None:
    search = Search(manifest(), journal())
    (trial,) = search.ask(1)
    search.tell(trial, 0.5)

    with pytest.raises(ValueError, match="told before"):
        search.tell(trial, 0.9)


def test_the_time_that_trials_take_is_bounded() -> None:
    search = Search(manifest(budget={"maxDuration": "10ms"}), journal())
    (trial,) = search.ask(1)
    time.sleep(0.01)

    search.tell(trial, 0.5)

    assert search.ended
    with pytest.raises(SearchEndedError, match="10ms are over"):
        search.ask()


def test_a_target_reached_ends_the_search() -> None:
    search = Search(manifest(budget={"targetReward": 0.9}), journal())
    (trial,) = search.ask(1)

    search.tell(trial, 0.95)

    assert search.ended


def test_what_was_asked_and_not_told_is_proposed_again_by_the_next_search_on_the_journal(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        asked = Search(manifest(), records).ask(8)
        first = {trial.number: trial.architecture for trial in asked}

    with journal(tmp_path / "journal.sqlite") as records:
        again = {trial.number: trial.architecture for trial in Search(manifest(), records).ask(8)}

    assert again == first


def test_a_search_taken_up_again_ends_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    spec = manifest(budget={"maxTrials": 40}, controller={"parallelism": {"batchSize": 4}})

    def tell_all(search: Search, count: int) -> None:
        for _ in range(count):
            for trial in search.ask(1):
                search.tell(trial, trial.architecture.layers[0].operation.filters / 64)  # type: ignore[union-attr]

    with journal(tmp_path / "whole.sqlite") as records:
        whole = Search(spec, records)
        tell_all(whole, 40)
        expected = records.recover()
    for pause in (7, 18, 31):
        with journal(tmp_path / f"{pause}.sqlite") as records:
            tell_all(Search(spec, records), pause)
        with journal(tmp_path / f"{pause}.sqlite") as records:
            tell_all(Search(spec, records), 40 - pause)
            found = records.recover()
        assert found.version == expected.version == 10
        assert found.state == expected.state
        assert found.snapshots[10] == expected.snapshots[10]


def test_a_fixed_number_of_replicas_bounds_what_can_be_asked_at_once() -> None:
    search = Search(manifest(controller={"parallelism": {"batchSize": 4, "replicas": 2}}), journal())

    assert len(search.ask(100)) == 8
    assert search.ask(1) == []


def test_a_bound_on_the_version_lag_is_kept_with_results_in_any_order() -> None:
    search = Search(manifest(controller={"parallelism": {"batchSize": 1, "maxVersionLag": 2}}), records := journal())

    for _ in range(10):
        for trial in reversed(search.ask(100)):
            search.tell(trial, 0.5)

    lags = [update.lag for update in records.updates()]
    assert len(lags) > 10
    assert max(lags) == 2


def test_architectures_that_break_a_constraint_are_never_asked() -> None:
    shape = DataShape(ImageShape(1, 8, 8), 10)
    space = {"convNet": {"layers": {"initial": 2, "max": 2}, "constraints": {"maxParameters": 30_000}}}
    free = Search(manifest(), journal(), shape)
    bound = Search(manifest(searchSpace=space), journal(), shape)

    assert max(t.architecture.count_parameters(shape.image, 10) for t in free.ask(200)) > 30_000
    assert max(t.architecture.count_parameters(shape.image, 10) for t in bound.ask(200)) <= 30_000


def test_constraints_without_the_shape_of_the_data_are_an_error() -> None:
    space = {"convNet": {"constraints": {"maxParameters": 30_000}}}

    with pytest.raises(ValueError, match="pass data_shape"):
        Search(manifest(searchSpace=space), journal())


def test_constraints_that_nothing_keeps_are_an_error_that_says_what_to_relax() -> None:
    space = {"convNet": {"layers": {"initial": 2, "max": 2}, "constraints": {"maxParameters": 5}}}
    search = Search(manifest(searchSpace=space), journal(), DataShape(ImageShape(1, 8, 8), 10))

    for _ in range(2):
        with pytest.raises(NoAcceptableArchitectureError, match="constraints"):
            search.ask()


def test_data_of_another_shape_than_the_search_began_with_are_refused(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        Search(manifest(), records, DataShape(ImageShape(1, 8, 8), 10))
    with (
        journal(tmp_path / "journal.sqlite") as records,
        pytest.raises(ValueError, match="began with 1x8x8 images of 10 classes, and now the data are 3x32x32"),
    ):
        Search(manifest(), records, DataShape(ImageShape(3, 32, 32), 10))


def test_a_suspended_search_says_so_and_takes_what_was_asked_before() -> None:
    search = Search(manifest(), journal())
    (trial,) = search.ask(1)
    search.engine.set_verdict(Verdict("SUSPENDED", "Suspended", "by a person"))
    with pytest.raises(SearchSuspendedError, match="the search is suspended: by a person"):
        search.ask()
    search.tell(trial, 0.5)
    assert search.engine.progress.finished == 1


def test_a_search_whose_manifest_suspends_it_says_so(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records, pytest.raises(SearchSuspendedError, match=r"spec\.suspend"):
        Search(manifest(suspend=True), records).ask()
    with journal(tmp_path / "journal.sqlite") as records:
        assert Search(manifest(), records).ask()


def test_a_raised_budget_lets_an_ended_search_go_on(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        search = Search(manifest(budget={"maxTrials": 2}), records)
        for trial in search.ask(2):
            search.tell(trial, 0.5)
        assert search.ended
    with journal(tmp_path / "journal.sqlite") as records:
        search = Search(manifest(budget={"maxTrials": 3}), records)
        assert not search.ended
        assert [trial.number for trial in search.ask(5)] == [3]


def test_the_example_in_the_docstring_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = manifest(budget={"maxTrials": 12})
    (tmp_path / "search.yaml").write_text(dump_manifest(spec).replace("name: test", "name: digits"))
    monkeypatch.chdir(tmp_path)
    documentation = search_module.__doc__
    assert documentation is not None
    example = textwrap.dedent("".join(line for line in documentation.splitlines(True) if line.startswith("    ")))
    names = {
        "Path": Path,
        "Search": Search,
        "SqliteJournal": SqliteJournal,
        "load_manifest": load_manifest,
        "train": lambda architecture: architecture.layers[0].operation.filters / 64,
    }

    exec(example, names)

    with SqliteReader(tmp_path / "journal.sqlite") as records:
        assert len(records.finished()) == 12


def test_random_search_asks_behind_the_same_interface() -> None:
    search = Search(manifest(controller={"algorithm": {"type": "Random"}}, budget={"maxTrials": 16}), journal())

    while not search.ended:
        for trial in search.ask(4):
            search.tell(trial, 0.5)

    assert search.engine.version == 16  # an update for each result: it learns nothing from batches
