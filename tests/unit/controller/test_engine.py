"""The engine: when a search ends and goes on, how deep its architectures are, and which leases live on."""

import time
from pathlib import Path

import pytest
import torch
from nas_api.spec import NASSearch
from nas_controller.jobs import SampleJob
from nas_controller.journal.journal import SearchStateChanged, TrialState
from nas_controller.leases import Ending
from nas_controller.progress import Verdict
from nas_controller.trial_result import TrialResult

from .driven_engine import DrivenEngine, journal, manifest_of

torch.set_num_threads(1)


def manifest(**spec: object) -> NASSearch:
    small = {
        "searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}},
        "controller": {"algorithm": {"type": "Random"}, "parallelism": {"batchSize": 2}},
    }
    return manifest_of({**small, **spec})


class Driven(DrivenEngine):
    """An engine whose trials can be ended in a word."""

    def finish(self, count: int, state: TrialState = TrialState.SUCCEEDED) -> None:
        for _ in range(count):
            self.complete(self.lease(), TrialResult(state, reward=0.5))
        self.work(wanted=0)


# The end of a search. -------------------------------------------------------------------------------------------------


def test_a_budget_lowered_below_what_has_finished_ends_the_search_at_its_start(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        Driven(manifest(budget={"maxTrials": 10}), records).finish(4)
    with journal(tmp_path / "journal.sqlite") as records:
        assert Driven(manifest(budget={"maxTrials": 4}), records).verdict.reason == "BudgetSpent"


def test_a_search_that_was_killed_before_its_end_was_written_down_ends_at_its_start(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        Driven(manifest(budget={"maxTrials": 2}), records).finish(2)
        records.write(SearchStateChanged("RUNNING", "", "", 0.0))  # as if the last record were missing
    with journal(tmp_path / "journal.sqlite") as records:
        assert Driven(manifest(budget={"maxTrials": 2}), records).verdict.reason == "BudgetSpent"


def test_a_search_whose_budget_was_spent_while_it_was_suspended_ends_when_it_is_resumed() -> None:
    engine = Driven(manifest(budget={"maxTrials": 1}), journal())
    lease = engine.lease()
    engine.set_verdict(Verdict("SUSPENDED"))
    engine.complete(lease, TrialResult(TrialState.SUCCEEDED, reward=0.5))
    assert engine.verdict.state == "SUSPENDED"

    engine.set_verdict(Verdict("RUNNING")).result()

    assert engine.verdict.reason == "BudgetSpent"
    assert engine.journal.recover().search_state == "SUCCEEDED"


def test_a_search_that_somebody_ended_stays_ended_after_a_restart(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        Driven(manifest(), records).set_verdict(Verdict("SUCCEEDED", "GoodEnough", "by hand"))
    with journal(tmp_path / "journal.sqlite") as records:
        assert Driven(manifest(), records).verdict == Verdict("SUCCEEDED", "GoodEnough", "by hand")


@pytest.mark.parametrize(("bound", "state"), [(2, "FAILED"), (3, "RUNNING")])
def test_a_search_that_failed_too_often_goes_on_with_a_larger_bound(tmp_path: Path, bound: int, state: str) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(budget={"maxConsecutiveFailures": 2}), records)
        engine.finish(2, TrialState.FAILED)
        assert engine.verdict.reason == "TooManyFailures"
    with journal(tmp_path / "journal.sqlite") as records:
        assert Driven(manifest(budget={"maxConsecutiveFailures": bound}), records).verdict.state == state


def test_a_search_whose_time_is_over_stays_ended_after_a_restart(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(budget={"maxDuration": "2s"}), records)
        engine.lease()
        engine.add_active_seconds(1.5)
        assert engine.verdict.state == "RUNNING"
        engine.add_active_seconds(0.6)
        assert engine.verdict.reason == "DurationSpent"
    with journal(tmp_path / "journal.sqlite") as records:
        assert Driven(manifest(budget={"maxDuration": "2s"}), records).verdict.reason == "DurationSpent"


@pytest.mark.parametrize(
    ("spent", "raised"),
    [
        ({"maxTrials": 1}, {"maxTrials": 3}),
        ({"targetReward": 0.5}, {"targetReward": 0.6}),
        ({"maxDuration": "2s"}, {"maxDuration": "3s"}),
    ],
)
def test_a_search_that_ended_by_its_budget_goes_on_with_a_larger_one(
    tmp_path: Path, spent: dict[str, object], raised: dict[str, object]
) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(budget=spent), records)
        held = engine.lease()
        engine.add_active_seconds(2.5)
        engine.complete(held, TrialResult(TrialState.SUCCEEDED, reward=0.5))
        assert engine.verdict.state == "SUCCEEDED"
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(budget=raised), records)
        assert (engine.verdict.state, engine.verdict.reason) == ("RUNNING", "BudgetRaised")
        engine.finish(1)
        assert engine.progress.finished == 2


def test_the_best_reward_is_the_same_before_and_after_a_restart(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        for state, reward in (
            (TrialState.SUCCEEDED, 0.3),
            (TrialState.STOPPED_EARLY, 0.9),
            (TrialState.SUCCEEDED, 0.5),
            (TrialState.FAILED, 0.0),
        ):
            engine.complete(engine.lease(), TrialResult(state, reward=reward))
        assert engine.progress.best_reward == 0.5
    with journal(tmp_path / "journal.sqlite") as records:
        assert Driven(manifest(), records).progress.best_reward == 0.5


# Suspension. ----------------------------------------------------------------------------------------------------------


def test_a_search_starts_suspended_and_running_as_its_manifest_says_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        engine.finish(2)
        held = engine.lease()
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(suspend=True), records)
        assert engine.verdict == Verdict("SUSPENDED", "Suspended", "spec.suspend is true")
        engine.work(wanted=10)
        assert engine.grant("x", None) is None
        assert engine.complete(engine.leases.held()[0], TrialResult(TrialState.SUCCEEDED, reward=0.5)) is not None
    with journal(tmp_path / "journal.sqlite") as records:
        assert records.recover().search_state == "SUSPENDED"
        engine = Driven(manifest(), records)
        assert engine.verdict == Verdict("RUNNING", "Resumed", "spec.suspend is false")
        assert engine.progress.finished == 3
        assert engine.lease().trial == held.trial + 1
    with journal(tmp_path / "journal.sqlite") as records:
        assert records.recover().search_state == "RUNNING"


@pytest.mark.parametrize("suspend", [True, False])
def test_a_search_that_has_ended_is_neither_suspended_nor_resumed(tmp_path: Path, suspend: bool) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        Driven(manifest(budget={"maxTrials": 2}), records).finish(2)
    with journal(tmp_path / "journal.sqlite") as records:
        search = manifest(budget={"maxTrials": 2}, suspend=suspend)
        assert Driven(search, records).verdict.reason == "BudgetSpent"


def test_a_budget_that_is_raised_while_the_manifest_suspends_leaves_the_search_suspended(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        Driven(manifest(budget={"maxTrials": 2}), records).finish(2)
    with journal(tmp_path / "journal.sqlite") as records:
        search = manifest(budget={"maxTrials": 4}, suspend=True)
        assert Driven(search, records).verdict.state == "SUSPENDED"


def test_the_time_of_a_suspension_does_not_count(tmp_path: Path) -> None:
    engine = Driven(manifest(budget={"maxDuration": "2s"}), journal())
    engine.lease()
    engine.add_active_seconds(1.5)
    engine.set_verdict(Verdict("SUSPENDED"))
    engine.add_active_seconds(1000)
    engine.set_verdict(Verdict("RUNNING"))
    assert engine.verdict.state == "RUNNING"
    engine.add_active_seconds(0.5)
    assert engine.verdict.reason == "DurationSpent"


# Sampling. ------------------------------------------------------------------------------------------------------------


def test_batches_sampled_in_one_go_are_all_of_the_depth_that_the_schedule_asks_for() -> None:
    space = {"convNet": {"layers": {"initial": 1, "increment": 1, "every": 4, "max": 3}}}
    engine = Driven(manifest(searchSpace=space), journal())
    job = engine.next_job(wanted=100)
    assert isinstance(job, SampleJob)
    assert (job.depth, sum(job.sizes)) == (1, 4)
    engine.absorb(engine.runner.run(job))

    engine.work(wanted=100)

    depths = [record.sampled.proposal.depth for record in engine.journal.trials()]
    assert depths[:10] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]


def test_batches_whose_updates_were_missing_are_learnt_after_a_restart_in_the_order_of_their_completion(
    tmp_path: Path,
) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        engine.work(wanted=4)
        leases = [engine.lease(f"worker-{i}") for i in range(4)]
        for lease in reversed(leases):  # the second batch is complete before the first
            engine.complete(lease, TrialResult(TrialState.SUCCEEDED, reward=0.5))
    with journal(tmp_path / "journal.sqlite") as records:
        Driven(manifest(), records).work(wanted=0)

        assert [update.batch for update in records.updates()] == [2, 1]


# Leases. --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending.RELEASED, Ending.LOST])
def test_a_report_that_comes_after_a_lease_was_given_back_or_lost_does_not_take_it_up_again(ending: Ending) -> None:
    engine = Driven(manifest(), journal())
    lease = engine.lease()
    engine.end_lease(lease, ending)

    assert engine.revive(lease.token, "w") is None
    assert engine.pending == 2


def test_an_expired_lease_is_taken_up_again_by_its_worker_alone() -> None:
    engine = Driven(manifest(), journal())
    lease = engine.lease()
    engine.end_lease(lease, Ending.EXPIRED)

    assert engine.revive(lease.token, "x") is None
    assert engine.revive(lease.token, "w") is lease
    assert engine.pending == 1


def test_no_lease_expires_while_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker may wait to hear of it, and nobody else could be given its architecture."""
    lease_of_a_millisecond = {"lease": {"duration": "1ms"}, "algorithm": {"type": "Random"}}
    engine = Driven(manifest(controller=lease_of_a_millisecond), records := journal())
    lease = engine.lease()
    monkeypatch.setattr(records, "problem", lambda: "the disk is full")
    while time.monotonic() <= lease.expires_at:
        pass
    assert engine.expire_leases() == []

    monkeypatch.setattr(records, "problem", lambda: "")

    assert engine.expire_leases() == [lease]
