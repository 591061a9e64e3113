"""Duplicates: an architecture that is the same network as one trained before is not trained again."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nas_api.spec import NASSearch
from nas_controller.engine import Engine
from nas_controller.journal.journal import TrialRecord, TrialState
from nas_controller.leases import Ending, Lease
from nas_controller.search import Search
from nas_controller.trial_result import TrialResult

from .driven_engine import DrivenEngine, journal, manifest_of

torch.set_num_threads(1)

# Networks of one layer, so many as there are numbers of filters.
ONE, FOUR = [8], [8, 16, 24, 32]


def manifest(
    filters: Sequence[int] = ONE, batch_size: int = 2, algorithm: str = "Random", **spec: dict[str, object]
) -> NASSearch:
    layers = {"initial": 1, "max": 1}
    space = {"layers": layers, "filters": filters, "filterHeights": [1], "filterWidths": [1], "strides": [1]}
    controller = {"algorithm": {"type": algorithm}, "parallelism": {"batchSize": batch_size}}
    return manifest_of(
        {
            "searchSpace": {"convNet": space},
            "budget": {"maxTrials": 20},
            **spec,
            "controller": {**controller, **spec.get("controller", {})},
        }
    )


class Driven(DrivenEngine):
    """An engine whose trials can be ended in a word."""

    def lease(self, worker: str = "w") -> Lease:
        granted = self.grant(worker, None)
        assert granted is not None
        return granted[0]

    def finish(self, lease: Lease, reward: float = 0.5, state: TrialState = TrialState.SUCCEEDED) -> None:
        durable = self.complete(lease, TrialResult(state, reward=reward, train_seconds=2.0, device_seconds=3.0))
        assert durable is not None
        durable.result()


def results(engine: Engine) -> list[TrialRecord]:
    engine.journal.write().result()
    return engine.journal.finished()


def test_a_trial_of_a_known_architecture_is_given_its_reward_and_costs_nothing() -> None:
    engine = Driven(manifest(), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease(), reward=0.7)

    engine.work(wanted=1)

    first, *replayed = results(engine)
    assert len(replayed) > 1
    assert {(r.state, r.reward, r.replay_of, r.train_seconds, r.worker) for r in replayed} == {
        (TrialState.SUCCEEDED, 0.7, first.sampled.trial, 0.0, "")
    }
    assert engine.progress.device_seconds == 3.0
    assert engine.progress.replayed == len(replayed)


def test_a_replayed_reward_counts_for_the_policy_like_any_other() -> None:
    engine = Driven(manifest(), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease(), reward=0.7)
    engine.work(wanted=0)
    assert [update.mean_reward for update in engine.journal.updates()] == [0.7]


def test_a_trial_whose_twin_is_in_training_waits_for_its_result() -> None:
    engine = Driven(manifest(), journal())
    engine.work(wanted=1)
    held = engine.lease()
    assert engine.pending == 0
    assert engine.grant("other", None) is None

    engine.finish(held, reward=0.7)

    assert [(r.sampled.trial, r.reward, r.replay_of) for r in results(engine)] == [(1, 0.7, None), (2, 0.7, 1)]


def test_a_trial_whose_twin_was_lost_with_too_many_workers_goes_out_itself() -> None:
    engine = Driven(manifest(controller={"lease": {"maxAttempts": 1}}), journal())
    engine.work(wanted=1)
    engine.end_lease(engine.lease(), Ending.LOST)

    assert engine.pending == 1
    assert engine.lease().trial == 2


def test_a_failed_trial_is_not_replayed() -> None:
    """What made it fail may have been mended since."""
    engine = Driven(manifest(), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease(), state=TrialState.FAILED)
    assert engine.lease().trial == 2
    assert engine.progress.replayed == 0


def test_a_stopped_trial_is_replayed_as_one_and_is_no_full_result() -> None:
    """What it was worth is at most what a full training would have shown: no replay makes it look better."""
    engine = Driven(manifest(), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease(), reward=0.2, state=TrialState.STOPPED_EARLY)

    stopped, waited = results(engine)
    assert (waited.state, waited.reward, waited.replay_of) == (TrialState.STOPPED_EARLY, 0.2, stopped.sampled.trial)
    assert engine.progress.best_reward is None
    engine.work(wanted=0)
    assert [rewarded.complete for rewarded in engine.journal.history().finished] == [False, False]


@pytest.mark.parametrize("edited", [{"type": "None"}, {"type": "ASHA", "asha": {"minSteps": 9}}])
def test_what_an_old_rule_has_stopped_stays_stopped_until_duplicates_are_trained(
    edited: dict[str, object], tmp_path: Path
) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(controller={"earlyStopping": {"type": "Median"}}), records)
        engine.work(wanted=1)
        engine.finish(engine.lease(), reward=0.2, state=TrialState.STOPPED_EARLY)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(budget={"maxTrials": 6}, controller={"earlyStopping": edited}), records)
        engine.work(wanted=1)
        assert [(r.state, r.reward) for r in results(engine)] == [(TrialState.STOPPED_EARLY, 0.2)] * 6
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(controller={"earlyStopping": edited, "duplicates": "Train"}), records)
        engine.work(wanted=1)
        engine.finish(engine.lease(), reward=0.7)
        assert results(engine)[-1].replay_of is None


@pytest.mark.parametrize("order", [(0.2, 0.7), (0.7, 0.2)])
def test_a_full_result_is_replayed_rather_than_that_of_a_twin_which_was_stopped(
    order: tuple[float, float], tmp_path: Path
) -> None:
    """Both are there when duplicates were trained before. The full one counts, whichever came first."""
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(controller={"duplicates": "Train"}), records)
        engine.work(wanted=2)
        for reward in order:
            engine.finish(engine.lease(), reward, TrialState.SUCCEEDED if reward == 0.7 else TrialState.STOPPED_EARLY)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        engine.work(wanted=1)
        assert {(r.state, r.reward) for r in results(engine)[2:]} == {(TrialState.SUCCEEDED, 0.7)}


def test_replays_count_in_the_budget_and_a_policy_that_has_settled_ends_with_it() -> None:
    engine = Driven(manifest(budget={"maxTrials": 30}), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease())

    engine.work(wanted=1)

    assert engine.verdict.reason == "BudgetSpent"
    assert (engine.progress.finished, engine.progress.replayed) == (30, 29)


def test_replays_count_in_the_time_of_a_search_that_trains_nothing_any_more() -> None:
    engine = Driven(manifest(budget={"maxTrials": 30, "maxDuration": "5s"}), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease())
    engine.add_active_seconds(10)
    assert engine.verdict.reason == "DurationSpent"


def test_a_search_without_a_bound_ends_when_it_only_proposes_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_controller.standing.CONVERGED_AFTER", 40)
    engine = Driven(manifest(budget={"maxTrials": "unlimited"}), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease())

    engine.work(wanted=1)

    assert (engine.verdict.state, engine.verdict.reason) == ("SUCCEEDED", "Converged")


def test_a_restart_goes_on_counting_what_was_replayed_in_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_controller.standing.CONVERGED_AFTER", 40)
    search = manifest(FOUR, batch_size=1, budget={"maxTrials": "unlimited"})

    def course(*, restarts: bool) -> list[int | None]:
        """What each trial is a replay of, with a restart after each step or without."""
        records = journal(tmp_path / f"{restarts}.sqlite")
        engine = Driven(search, records)
        while engine.verdict.state == "RUNNING" and engine.progress.finished < 200:
            if job := engine.next_job(wanted=1):
                engine.absorb(engine.runner.run(job)).result()
            else:
                engine.finish(engine.lease())
            if restarts:
                records.close()
                records = journal(tmp_path / f"{restarts}.sqlite")
                engine = Driven(search, records)
        assert engine.verdict.reason == "Converged"
        found = [record.replay_of for record in results(engine)]
        records.close()
        return found

    assert course(restarts=True) == course(restarts=False)


def test_no_more_is_sampled_while_many_wait_for_the_first_training_of_their_architecture() -> None:
    engine = Driven(manifest(budget={"maxTrials": 10_000}), journal())
    engine.work(wanted=1)
    engine.lease()

    engine.work(wanted=8)

    assert 64 <= engine.journal.recover().last_trial < 200


def test_replays_do_not_hide_that_every_training_fails() -> None:
    engine = Driven(manifest(FOUR, batch_size=1, budget={"maxConsecutiveFailures": 3}), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease())
    while engine.verdict.state == "RUNNING":
        engine.work(wanted=1)
        engine.finish(engine.lease(), state=TrialState.FAILED)
    assert engine.verdict.reason == "TooManyFailures"
    assert engine.progress.replayed > 0
    assert engine.journal.recover().consecutive_failures == 3


def test_the_best_trials_are_of_different_trainings() -> None:
    engine = Driven(manifest(budget={"maxTrials": 20}), journal())
    engine.work(wanted=1)
    engine.finish(engine.lease())
    engine.work(wanted=1)
    assert [record.sampled.trial for record in engine.journal.best()] == [1]


def test_with_duplicates_trained_every_trial_is_trained() -> None:
    engine = Driven(manifest(controller={"duplicates": "Train"}), journal())
    engine.work(wanted=1)
    for number in (1, 2):
        engine.finish(engine.lease(f"w{number}"))
    assert engine.progress.replayed == 0


def test_what_waits_when_replaying_is_switched_on_is_replayed_at_the_start(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(controller={"duplicates": "Train"}), records)
        engine.work(wanted=4)
        engine.lease("a")
        engine.finish(engine.lease("b"), reward=0.7)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        assert [record.replay_of for record in results(engine)] == [None, 2, 2]
        engine.finish(engine.leases.held()[0], reward=0.6)
        assert engine.progress.finished == 4


def test_a_search_by_ask_and_tell_is_asked_for_new_architectures_alone() -> None:
    search = Search(manifest(FOUR, budget={"maxTrials": 60}), journal())
    seen = []
    while not search.ended:
        asked = search.ask(2)
        seen += [trial.architecture.digest for trial in asked]
        for trial in asked:
            search.tell(trial, 0.5)
    assert len(seen) == len(set(seen)) <= 4
    assert search.engine.progress.finished == 60


# With kills at any instant. -------------------------------------------------------------------------------------------

STEPS = st.lists(st.sampled_from(["sample", "lease", "finish", "stop", "fail", "lose", "restart"]), max_size=40)


def play(steps: Sequence[str], path: Path, *, restarts: bool) -> tuple[list[tuple[object, ...]], bytes]:
    """What finished, in order, and the policy, after `steps`; with the restarts among them or without."""
    search = manifest(FOUR, batch_size=3, algorithm="REINFORCE", budget={"maxTrials": 30})
    records = journal(path)
    engine = Driven(search, records)
    for number, step in enumerate(steps):
        held = engine.leases.held()
        match step:
            case "sample":
                engine.work(wanted=engine.pending + 1)
            case "lease":
                engine.grant(f"worker-{number}", None)
            case "finish" if held:
                engine.finish(held[0], reward=number / 40)
            case "stop" if held:
                engine.finish(held[0], reward=number / 80, state=TrialState.STOPPED_EARLY)
            case "fail" if held:
                engine.finish(held[-1], state=TrialState.FAILED)
            case "lose" if held:
                engine.end_lease(held[0], Ending.LOST).result()
            case "restart" if restarts:
                records.close()
                records = journal(path)
                engine = Driven(search, records)
        digests = [engine.trial_of(lease).digest for lease in engine.leases.held()]
        assert len(digests) == len(set(digests)), "two workers train one network"
    while not engine.verdict.final:
        engine.work(wanted=1)
        for lease in engine.leases.held():
            engine.finish(lease, reward=0.1)
        engine.grant("last", None)
    while engine.leases.held():
        engine.finish(engine.leases.held()[0])
    engine.work(wanted=0)
    finished = [(r.sampled.trial, r.state, r.reward, r.replay_of) for r in results(engine)]
    assert len(finished) == 30
    trained = {trial: (state, r) for trial, state, r, source in finished if source is None}
    assert all((state, r) == trained[source] for _, state, r, source in finished if isinstance(source, int))
    policy = records.recover().snapshots[engine.version]
    records.close()
    return finished, policy


@given(steps=STEPS)
@settings(max_examples=6, deadline=None)
def test_a_search_that_is_killed_replays_the_same_and_ends_with_the_same_policy(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        killed = play(steps, path / "killed.sqlite", restarts=True)
        assert killed == play(steps, path / "whole.sqlite", restarts=False)
