"""The second stage of a search: what it trains, in which order, what counts, and that nothing is lost or twice."""

import hashlib
import math
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from nas_api.spec import NASSearch
from nas_controller.best_trainings import best_trainings, without_series
from nas_controller.journal.journal import FinalTrainingRecord, Measurement, TrialState
from nas_controller.leases import Ending, Lease
from nas_controller.progress import Verdict
from nas_controller.trial_result import TrialResult
from nas_controller.weight_store import WeightStore

from .driven_engine import DrivenEngine, journal, manifest_of

torch.set_num_threads(1)

Final = dict[str, object]


def manifest(final: Final | None, trials: int = 4, **spec: object) -> NASSearch:
    return manifest_of(
        {
            "searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}},
            "controller": {
                "algorithm": {"type": "Random"},
                "parallelism": {"batchSize": 2},
                "lease": {"maxAttempts": 3},
            },
            "budget": {"maxTrials": trials},
            **({"finalTraining": final} if final is not None else {}),
            **spec,
        }
    )


class Controller(DrivenEngine):
    """An engine with its journal and its weights in a directory."""

    def __init__(self, search: NASSearch, directory: Path) -> None:
        self.directory = directory
        self.weights = WeightStore(directory / "weights")
        super().__init__(search, journal(directory / "journal.sqlite"), self.weights)
        self.settle()

    def lease_if_any(self, worker: str = "w") -> Lease | None:
        self.work(wanted=1)
        granted = self.grant(worker, None)
        return granted[0] if granted else None

    def search(self, *rewards: float) -> None:
        """Trains so many trials, with these rewards."""
        for reward in rewards:
            lease = self.lease()
            assert not lease.training
            self.complete(lease, TrialResult(TrialState.SUCCEEDED, reward=reward))
        self.work(wanted=0)
        self.settle()

    def settle(self) -> None:
        """Waits until the journal has everything, as a second stage does before it is planned."""
        self.journal.write().result()
        self.check_budget()

    def train(self, accuracy: float | None, weights: bytes = b"") -> Lease:
        """Does the next final training. None: it fails."""
        lease = self.lease()
        assert lease.training
        self.finish(lease, accuracy, weights)
        return lease

    def upload(self, lease: Lease, weights: bytes) -> None:
        self.weights.receive(lease.token, 0, weights, len(weights))
        assert self.weights.verify(lease.token, len(weights), hashlib.sha256(weights).hexdigest())

    def finish(self, lease: Lease, accuracy: float | None, weights: bytes = b"") -> bool:
        if weights:
            self.upload(lease, weights)
        durable = self.complete(lease, result_of(accuracy, weights))
        if durable is not None:
            durable.result()
            self.journal.write().result()  # what is to be done when it is durable is done before the next
        return durable is not None

    def records(self) -> list[FinalTrainingRecord]:
        self.journal.write().result()
        return self.journal.final_trainings()

    def kill(self) -> None:
        self.journal.close()

    def kill_before_durable(self, lease: Lease, result: TrialResult, copy: Path) -> None:
        """Completes a training and is killed while the disk stalls: `copy` is what another controller finds."""
        with closing(sqlite3.connect(self.directory / "journal.sqlite")) as stall:
            stall.execute("BEGIN IMMEDIATE")
            durable = self.complete(lease, result)
            shutil.copytree(self.directory, copy)
            assert durable is None or not durable.done()
        self.kill()


def result_of(accuracy: float | None, weights: bytes = b"") -> TrialResult:
    if accuracy is None:
        return TrialResult(TrialState.FAILED, reason="NonFiniteMetric", message="val_loss is nan at step 1")
    measured = (Measurement(1, {"val_accuracy": accuracy, "test_accuracy": accuracy / 2}, 1.0),)
    return TrialResult(TrialState.SUCCEEDED, measured, weights_bytes=len(weights))


def essence(record: FinalTrainingRecord) -> object:
    return (
        record.planned, record.state, record.reward, record.reason, record.message, record.measurements,
        record.train_seconds, record.weights_bytes, record.finished_at,
    )  # fmt: skip


def files(directory: Path) -> list[str]:
    kept = directory / "weights"
    return sorted(file.name for file in kept.iterdir()) if kept.exists() else []


# What is trained. -----------------------------------------------------------------------------------------------------


def test_the_best_architectures_are_trained_with_every_combination_and_then_the_search_has_succeeded(
    tmp_path: Path,
) -> None:
    final: Final = {"top": 2, "epochs": 9, "repeats": 2, "grid": {"learningRate": [0.1, 0.2]}}
    engine = Controller(manifest(final), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)

    assert engine.verdict == Verdict(
        "RUNNING",
        "FinalTraining",
        "4 trials have finished (budget.maxTrials); final training of the best, 0 of 8 are done",
    )
    leases = [engine.train(0.5) for _ in range(8)]
    assert [lease.trial for lease in leases] == [2, 2, 2, 2, 3, 3, 3, 3]
    planned = [record.planned for record in engine.records()]
    assert [p.settings for p in planned[:2]] == [
        '{"epochs":9,"optimizer":{"learningRate":0.1}}',
        '{"epochs":9,"optimizer":{"learningRate":0.2}}',
    ]
    assert [p.repeat for p in planned[:4]] == [0, 0, 1, 1]
    assert engine.verdict.state == "SUCCEEDED"
    assert engine.verdict.reason == "BudgetSpent"
    assert engine.verdict.message.endswith("final training: trial 2: test_accuracy 0.25 (epochs 9, learningRate 0.1)")
    assert engine.lease_if_any() is None


def test_final_trainings_are_no_trials_and_nothing_is_learnt_of_them(tmp_path: Path) -> None:
    engine = Controller(manifest({"top": 1}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    engine.lease("other")
    version, device_seconds = engine.version, engine.progress.device_seconds
    engine.add_active_seconds(100)
    engine.expire_leases()
    engine.finish(engine.leases.held()[0], 0.9)

    assert engine.progress.finished == 4
    assert engine.progress.best_reward == 0.4
    assert (engine.version, engine.progress.device_seconds, engine.progress.active_seconds) == (
        version,
        device_seconds,
        0.0,
    )
    assert [record.sampled.trial for record in engine.journal.best()] == [2, 3, 4, 1]


def test_more_architectures_than_have_succeeded_are_all_that_have(tmp_path: Path) -> None:
    engine = Controller(manifest({"top": 50}), tmp_path)
    engine.search(0.1, 0.4, 0.3)
    lease = engine.lease()
    engine.complete(lease, TrialResult(TrialState.FAILED))
    engine.settle()
    assert engine.final_stage.total == 3


def test_a_search_in_which_nothing_succeeded_has_no_second_stage(tmp_path: Path) -> None:
    engine = Controller(manifest({"top": 2}), tmp_path)
    for _ in range(4):
        lease = engine.lease()
        engine.complete(lease, TrialResult(TrialState.FAILED))
    engine.settle()
    assert engine.verdict.state == "SUCCEEDED"
    assert "no trial has succeeded" in engine.verdict.message


def test_a_training_that_fails_leaves_the_others_and_the_search(tmp_path: Path) -> None:
    engine = Controller(manifest({"grid": {"learningRate": [0.1, 100]}}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    engine.train(0.5)
    engine.train(None)
    assert engine.verdict.state == "SUCCEEDED"
    assert engine.verdict.message.endswith("; 1 of 2 failed")


def test_when_all_fail_the_search_has_succeeded_and_says_why_they_failed(tmp_path: Path) -> None:
    engine = Controller(manifest({"top": 2}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    engine.train(None)
    engine.train(None)
    assert engine.verdict.state == "SUCCEEDED"
    assert "all 2 final trainings failed, the first with NonFiniteMetric: val_loss is nan" in engine.verdict.message


def test_a_training_with_which_too_many_workers_were_lost_fails(tmp_path: Path) -> None:
    engine = Controller(manifest({}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    for attempt in range(1, 4):
        lease = engine.lease()
        assert lease.attempt == attempt
        engine.end_lease(lease, Ending.LOST)
    [record] = engine.records()
    assert (record.state, record.reason) == (TrialState.FAILED, "AttemptsExhausted")
    assert engine.verdict.state == "SUCCEEDED"


def test_workers_that_train_trials_still_when_the_stage_begins_are_to_give_them_back(tmp_path: Path) -> None:
    engine = Controller(manifest({}, budget={"targetReward": 0.4}), tmp_path)
    held = engine.lease("other")
    assert engine.wants(held)
    engine.search(0.5)
    assert engine.verdict.reason == "FinalTraining"
    assert not engine.wants(held)
    # One that is told all the same counts as a trial.
    engine.complete(held, TrialResult(TrialState.SUCCEEDED, reward=0.9))
    assert engine.progress.finished == 2


def test_of_the_trainings_of_an_architecture_the_files_of_the_best_are_kept(tmp_path: Path) -> None:
    engine = Controller(manifest({"grid": {"learningRate": [0.1, 0.2, 0.3]}}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    for accuracy, kept in ((0.5, "000001.tar"), (0.7, "000002.tar"), (0.6, "000002.tar")):
        engine.train(accuracy, b"weights")
        assert files(tmp_path) == [kept]


@pytest.mark.parametrize(("first", "second", "kept"), [(0.5, 0.7, "000002.tar"), (0.7, 0.5, "000001.tar")])
def test_a_kill_before_a_result_is_durable_leaves_its_weights_to_the_worker_that_brings_it_again(
    first: float, second: float, kept: str, tmp_path: Path
) -> None:
    search = manifest({"grid": {"learningRate": [0.1, 0.2]}})
    engine = Controller(search, tmp_path / "killed")
    engine.search(0.1, 0.4, 0.3, 0.2)
    lease, other = engine.lease("a"), engine.lease("b")
    engine.upload(other, b"weights")
    engine.finish(lease, first, b"weights")
    engine.kill_before_durable(other, result_of(second, b"weights"), tmp_path / "found")

    engine = Controller(search, tmp_path / "found")
    assert "000001.tar" in files(tmp_path / "found")
    assert engine.weights.size(other.token) == len(b"weights")
    assert engine.complete(other, result_of(second, b"weights")) is not None
    engine.settle()
    assert files(tmp_path / "found") == [kept]


def test_weights_are_needed_only_of_a_training_that_is_better_than_those_before(tmp_path: Path) -> None:
    engine = Controller(manifest({"grid": {"learningRate": [0.1, 0.2]}}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    first, second = engine.lease("a"), engine.lease("b")

    def needed(lease: Lease, accuracy: float) -> bool:
        return engine.final_trainings.needs_weights(lease, [Measurement(1, {"val_accuracy": accuracy}, 1.0)])

    assert needed(second, 0.1)
    engine.finish(second, 0.5, b"weights")
    assert not needed(first, 0.4)
    assert not needed(first, math.nan)
    assert needed(first, 0.5)  # among equals the earlier one counts
    assert needed(first, 0.6)
    engine.finish(first, 0.5, b"weights")
    assert files(tmp_path) == ["000001.tar"]


def test_the_best_of_all_trainings_is_told_also_of_those_by_a_former_manifest(tmp_path: Path) -> None:
    engine = Controller(manifest({"top": 2}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    engine.train(0.5)
    engine.train(0.7)
    assert engine.final_stage.best_of_all is not None
    assert engine.final_stage.best_of_all.planned.trial == 3
    engine.kill()
    engine = Controller(manifest({"epochs": 9}), tmp_path)
    engine.train(0.6)
    assert "final training: trial 3: test_accuracy 0.35 (epochs 200)" in engine.verdict.message


# Edits. ---------------------------------------------------------------------------------------------------------------


def test_another_second_stage_raises_a_search_that_has_ended_and_what_is_done_is_not_done_again(
    tmp_path: Path,
) -> None:
    engine = Controller(manifest(None), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    assert engine.verdict.state == "SUCCEEDED"
    engine.kill()
    engine = Controller(manifest({"grid": {"learningRate": [0.1]}}), tmp_path)
    assert engine.verdict.reason == "FinalTraining"
    engine.train(0.5)
    assert engine.verdict.state == "SUCCEEDED"
    engine.kill()
    engine = Controller(manifest({"grid": {"learningRate": [0.1, 0.2]}}), tmp_path)
    assert (engine.final_stage.finished, engine.final_stage.total) == (1, 2)
    engine.train(0.6)
    assert engine.verdict.state == "SUCCEEDED"
    engine.kill()
    for final in ({"grid": {"learningRate": [0.2]}}, None):
        engine = Controller(manifest(final), tmp_path)
        assert engine.verdict.state == "SUCCEEDED"
        engine.kill()


def test_a_raised_budget_takes_the_search_up_again_and_the_stage_follows_its_new_end(tmp_path: Path) -> None:
    engine = Controller(manifest({}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    held = engine.lease()
    engine.kill()
    engine = Controller(manifest({}, trials=6), tmp_path)
    assert engine.verdict.reason == "BudgetRaised"
    assert not engine.wants(engine.leases.held()[0])
    assert not engine.finish(held, 0.5)
    engine.end_lease(engine.leases.held()[0], Ending.RELEASED)
    engine.search(0.8, 0.1)
    assert engine.train(0.5).trial == 5
    assert engine.verdict.state == "SUCCEEDED"


def test_an_edit_of_the_trainer_holds_for_what_is_trained_afterwards_and_repeats_nothing(tmp_path: Path) -> None:
    final: Final = {"epochs": 9, "grid": {"learningRate": [0.1, 0.2]}}
    engine = Controller(manifest(final), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    engine.train(0.5)
    engine.kill()
    engine = Controller(manifest(final, trainer={"epochs": 20, "batchSize": 16}), tmp_path)
    assert (engine.final_stage.finished, engine.final_stage.total) == (1, 2)
    engine.train(0.6)
    assert engine.verdict.state == "SUCCEEDED"
    engine.kill()
    engine = Controller(manifest(final, trainer={"epochs": 30}), tmp_path)
    assert engine.verdict.state == "SUCCEEDED"


def test_an_edit_of_its_epochs_is_another_stage_when_those_of_the_stage_follow_from_them(tmp_path: Path) -> None:
    engine = Controller(manifest({}, trainer={"epochs": 10}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    held = engine.lease()
    engine.kill()
    engine = Controller(manifest({}, trainer={"epochs": 20}), tmp_path)
    assert not engine.finish(held, 0.5)
    engine.end_lease(engine.leases.held()[0], Ending.RELEASED)
    engine.train(0.6)
    assert [record.planned.settings for record in engine.records() if record.wanted] == ['{"epochs":80}']
    assert engine.verdict.state == "SUCCEEDED"


def test_a_stage_can_be_suspended(tmp_path: Path) -> None:
    engine = Controller(manifest({}), tmp_path)
    engine.search(0.1, 0.4, 0.3, 0.2)
    engine.set_verdict(Verdict("SUSPENDED"))
    assert engine.lease_if_any() is None
    engine.kill()
    engine = Controller(manifest({}), tmp_path)
    assert engine.verdict.reason == "FinalTraining"
    engine.train(0.5)
    assert engine.verdict.state == "SUCCEEDED"


def test_a_search_that_somebody_ended_has_no_second_stage(tmp_path: Path) -> None:
    engine = Controller(manifest({}), tmp_path)
    engine.search(0.5)
    engine.set_verdict(Verdict("SUCCEEDED", "GoodEnough", "by hand"))
    engine.kill()
    assert Controller(manifest({}), tmp_path).verdict == Verdict("SUCCEEDED", "GoodEnough", "by hand")


# Anything may happen. -------------------------------------------------------------------------------------------------

MANIFESTS: tuple[Final | None, ...] = (
    {"top": 2, "grid": {"learningRate": [0.1, 0.2]}},
    {"top": 3, "grid": {"learningRate": [0.2, 0.3]}},
    {"top": 1, "repeats": 2},
    None,
)


@settings(max_examples=30, stateful_step_count=30, deadline=None)
class Stage(RuleBasedStateMachine):
    """Workers train, vanish and come back late; the controller is killed and its manifest edited."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.final: Final | None = MANIFESTS[0]
        self.engine = Controller(manifest(self.final), self.directory)
        self.leases: list[Lease] = []  # also those that have ended: their workers may speak all the same
        self.accepted: dict[int, float | None] = {}

    @initialize()
    def search(self) -> None:
        self.engine.search(0.1, 0.4, 0.3, 0.2)
        self.version = self.engine.version

    @rule(worker=st.integers(0, 3))
    def lease(self, worker: int) -> None:
        if self.engine.leases.of_worker(f"w{worker}") is None and (lease := self.engine.lease_if_any(f"w{worker}")):
            assert lease.training not in self.accepted
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), accuracy=st.none() | st.sampled_from([0.2, 0.5, 0.7]))
    def complete(self, data: st.DataObject, accuracy: float | None) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        if self.engine.finish(lease, accuracy, b"x" * lease.training):
            assert lease.training not in self.accepted
            self.accepted[lease.training] = accuracy

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), accuracy=st.none() | st.sampled_from([0.2, 0.5, 0.7]))
    def complete_and_be_killed_before_it_is_durable(self, data: st.DataObject, accuracy: float | None) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        weights = b"x" * lease.training
        self.engine.upload(lease, weights)
        held = self.engine.leases.get(lease.token) is not None and self.engine.wants(lease)
        found = self.directory.with_name(self.directory.name + "+")
        self.engine.kill_before_durable(lease, result_of(accuracy, weights), found)
        shutil.rmtree(self.directory)
        found.rename(self.directory)
        self.engine = Controller(manifest(self.final), self.directory)
        assert not held or self.engine.weights.size(lease.token) == len(weights)

    @precondition(lambda self: len(self.engine.leases))
    @rule(data=st.data(), ending=st.sampled_from([Ending.LOST, Ending.RELEASED, Ending.EXPIRED]))
    def end_lease(self, data: st.DataObject, ending: Ending) -> None:
        lease = data.draw(st.sampled_from(self.engine.leases.held()))
        self.engine.end_lease(lease, ending)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def speak_late(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        self.engine.revive(lease.token, lease.worker)

    @rule(which=st.sampled_from(MANIFESTS) | st.just("same"))
    def restart(self, which: Final | str | None) -> None:
        if not isinstance(which, str):
            self.final = which
        self.engine.kill()
        self.engine = Controller(manifest(self.final), self.directory)

    @invariant()
    def those_of_the_plan_and_all_results_are_told_as_the_journal_has_them(self) -> None:
        kept = [record for record in self.engine.records() if record.wanted or record.finished_at]
        told = self.engine.final_stage.ledger.records()
        assert [essence(record) for record in told] == [essence(without_series(record)) for record in kept]

    @invariant()
    def it_holds(self) -> None:
        engine, records = self.engine, self.engine.records()
        finished = {r.planned.training: r for r in records if r.finished_at}
        lost = {n for n, r in finished.items() if r.reason == "AttemptsExhausted"}
        assert finished.keys() - lost == self.accepted.keys()
        for number, accuracy in self.accepted.items():
            assert finished[number].reward == (None if accuracy is None else pytest.approx(accuracy**3))
        open_ = {r.planned.training for r in records if r.wanted and not r.finished_at}
        assert (engine.verdict.state == "SUCCEEDED") == (not open_)
        held = {lease.training for lease in engine.leases.held()}
        assert engine.final_stage.pending == len(open_ - held)
        assert engine.progress.finished == 4
        assert engine.version == self.version
        best = best_trainings(records).values()
        kept = {f"{r.planned.training:06d}.tar" for r in best if r.weights_bytes}
        assert {name for name in files(self.directory) if name.endswith(".tar")} == kept

    def teardown(self) -> None:
        for lease in self.engine.leases.held():
            self.engine.end_lease(lease, Ending.RELEASED)
        while self.engine.verdict.state == "RUNNING":
            self.engine.train(0.5)
        self.engine.kill()
        shutil.rmtree(self.directory)


TestAnythingMayHappen = Stage.TestCase
