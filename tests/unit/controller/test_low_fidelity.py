"""Lower fidelity first: only architectures with a good cheap training are trained in full."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nas_api.spec import NASSearch
from nas_controller.journal.journal import TrialRecord, TrialState
from nas_controller.leases import Ending, Lease, is_of_first_training
from nas_controller.search import Search
from nas_controller.trial_result import TrialResult

from .driven_engine import DrivenEngine, journal, manifest_of

torch.set_num_threads(1)


def manifest(low: dict[str, object] | None = None, duplicates: str = "Train") -> NASSearch:
    spec = {
        "searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}},
        "trainer": {"epochs": 50},
        "controller": {
            "algorithm": {"type": "Random"},
            "duplicates": duplicates,
            "parallelism": {"batchSize": 2},
            "lowFidelity": low or {"epochs": 5, "reductionFactor": 2},
        },
    }
    return manifest_of(spec)


class Driven(DrivenEngine):
    """An engine whose trials can be ended in a word."""

    def end(self, lease: Lease, reward: float, state: TrialState = TrialState.SUCCEEDED) -> None:
        durable = self.complete(lease, TrialResult(state, reward=reward, train_seconds=1.0, device_seconds=2.0))
        assert durable is not None
        durable.result()

    def first(self, reward: float) -> Lease:
        """A first training with this reward."""
        lease = self.lease()
        assert is_of_first_training(lease.token)
        self.end(lease, reward)
        return lease

    def full(self, reward: float) -> TrialRecord:
        """The full training of what was promoted last."""
        lease = self.lease()
        assert not is_of_first_training(lease.token)
        self.end(lease, reward)
        return self.journal.finished()[-1]


def test_a_good_first_training_is_followed_by_a_full_one_whose_reward_counts() -> None:
    engine = Driven(manifest(), journal())
    first = engine.first(0.4)
    done = engine.full(0.7)
    assert (done.sampled.trial, done.state, done.reward) == (first.trial, TrialState.SUCCEEDED, 0.7)
    assert done.train_seconds == 2.0, "of both trainings"
    assert engine.progress.device_seconds == engine.journal.recover().device_seconds == 4.0
    assert engine.progress.finished == 1


def test_a_poor_first_training_is_the_end_of_its_trial_and_no_full_result() -> None:
    engine = Driven(manifest(), journal())
    engine.first(0.4)
    engine.full(0.7)
    engine.first(0.3)
    poor = engine.journal.finished()[-1]
    assert (poor.state, poor.reason, poor.reward) == (TrialState.STOPPED_EARLY, "NotPromoted", 0.3)
    assert [rewarded.complete for rewarded in engine.journal.history().finished] in ([], [True, False])


def test_what_is_not_trained_in_full_is_worth_no_more_than_what_it_lost_to_has_got() -> None:
    engine = Driven(manifest(), journal())
    engine.first(0.5)
    engine.full(0.2)
    engine.first(0.4)
    assert engine.journal.finished()[-1].reward == 0.2


def test_an_architecture_that_was_not_trained_in_full_is_replayed_as_it_is() -> None:
    """Of a few networks there are soon duplicates: none of them is trained again, the promoted nor the others."""
    layers = {"initial": 1, "max": 1}
    few = {"layers": layers, "filters": [8, 16, 24, 32], "filterHeights": [1], "filterWidths": [1], "strides": [1]}
    value = manifest(duplicates="Replay").model_dump(mode="json", exclude_unset=True)
    value["spec"] |= {"searchSpace": {"convNet": few}, "budget": {"maxTrials": 30}}
    asked = Search(NASSearch.model_validate(value), journal())
    seen = []
    while not asked.ended:
        for trial in asked.ask(1):
            seen.append((trial.architecture.digest, trial.first_training))
            (filters,) = re.findall(r'"filters":(\d+)', trial.architecture.to_json())
            asked.tell(trial, int(filters) / 100)
    records = asked.engine.journal.finished()
    assert len(seen) == len(set(seen)) <= 8
    assert {r.state for r in records if r.replay_of is not None} == {TrialState.SUCCEEDED, TrialState.STOPPED_EARLY}
    results = {r.sampled.digest: (r.state, r.reward) for r in records if r.replay_of is None}
    assert all((r.state, r.reward) == results[r.sampled.digest] for r in records if r.replay_of is not None)


def test_where_all_first_trainings_are_equal_all_are_trained_in_full() -> None:
    engine = Driven(manifest(), journal())
    for _ in range(6):
        engine.first(0.5)
        assert engine.full(0.6).state is TrialState.SUCCEEDED


def test_an_architecture_that_cannot_be_trained_fails_at_once() -> None:
    engine = Driven(manifest(), journal())
    engine.end(engine.lease(), 0.0, TrialState.FAILED)
    assert engine.journal.finished()[-1].state is TrialState.FAILED


def test_a_late_result_of_a_first_training_that_another_worker_has_made_is_fenced() -> None:
    engine = Driven(manifest(), journal())
    late = engine.lease("slow")
    engine.end_lease(late, Ending.EXPIRED)
    engine.first(0.4)
    assert engine.complete(late, TrialResult(TrialState.SUCCEEDED, reward=0.9)) is None
    assert engine.full(0.5).reward == 0.5


def test_a_full_training_that_is_lost_is_made_again_and_the_first_one_is_not() -> None:
    engine = Driven(manifest(), journal())
    engine.first(0.4)
    engine.end_lease(engine.lease(), Ending.LOST)
    assert engine.full(0.7).reward == 0.7


def test_a_search_by_ask_and_tell_asks_in_full_for_what_did_well() -> None:
    search = Search(manifest(), journal())
    (cheap,) = search.ask(1)
    assert cheap.first_training
    search.tell(cheap, 0.4)
    (full,) = search.ask(1)
    assert (full.number, full.first_training) == (cheap.number, False)
    search.tell(full, 0.6)
    assert search.engine.progress.finished == 1


@pytest.mark.parametrize(
    ("low", "wrong"),
    [({"epochs": 50}, "is not less than trainer.epochs"), ({"dataFraction": 0}, "greater than 0")],
)
def test_a_first_training_that_is_no_cheaper_is_refused(low: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        manifest(low)


# With kills at any instant. -------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(st.sampled_from(["lease", "lease", "end", "end", "lose", "fail", "restart"]), st.integers(0, 9)),
    max_size=40,
)


def play(events: Sequence[tuple[str, int]], path: Path, *, restarts: bool) -> list[tuple[object, ...]]:
    """What finished, in order, with the restarts among the events or without."""
    search = manifest()
    records = journal(path)
    engine = Driven(search, records)
    for event, value in events:
        held = sorted(engine.leases.held(), key=lambda lease: lease.trial)
        lease = held[value % len(held)] if held else None
        match event:
            case "lease" if len(held) < 4:
                engine.lease(f"worker-{len(held)}-{value}")
            case "end" if lease:
                engine.end(lease, value / 10)
            case "fail" if lease:
                engine.end(lease, 0.0, TrialState.FAILED)
            case "lose" if lease:
                engine.end_lease(lease, Ending.RELEASED).result()
            case "restart" if restarts:
                records.close()
                records = journal(path)
                engine = Driven(search, records)
    done: list[tuple[object, ...]] = [(r.sampled.trial, r.state, r.reward, r.train_seconds) for r in records.finished()]
    firsts = {first.trial: first.reward for first in records.first_trainings()}
    for record in records.finished():
        if record.state is TrialState.STOPPED_EARLY:
            assert record.reward is not None
            assert record.reward <= firsts[record.sampled.trial]
    records.close()
    return done


@given(events=EVENTS)
@settings(max_examples=20, deadline=None)
def test_a_search_that_is_killed_promotes_the_same_architectures(events: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        killed = play(events, Path(directory) / "killed.sqlite", restarts=True)
        assert killed == play(events, Path(directory) / "whole.sqlite", restarts=False)
