"""Early stopping in a search: what a stopped trial is worth, and that restarts change nothing."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from nas_api.spec import NASSearch
from nas_controller.early_stopping import build_early_stopping
from nas_controller.early_stopping.curve import Curve, points_of
from nas_controller.journal.journal import Measurement, ReportedPoint, TrialState
from nas_controller.leases import Ending, Lease
from nas_controller.search import Search
from nas_controller.trial_result import TrialResult
from nas_controller.weight_store import WeightStore

from ..driven_engine import DrivenEngine, journal, manifest_of

torch.set_num_threads(1)

RULES: dict[str, dict[str, object]] = {
    "Median": {"median": {"minTrials": 2, "warmupSteps": 1}},
    "ASHA": {"asha": {"reductionFactor": 2, "minSteps": 1}},
    "CurveExtrapolation": {"curveExtrapolation": {"threshold": 0.4, "minReports": 2}},
}


def manifest(rule: str = "ASHA", *, cheap_first: bool = False, batch_size: int = 2, **settings: object) -> NASSearch:
    controller = {
        "algorithm": {"type": "Random"},
        "duplicates": "Train",
        "parallelism": {"batchSize": batch_size},
        "earlyStopping": {"type": rule, **RULES.get(rule, {}), **settings},
        "lowFidelity": {"epochs": 5, "reductionFactor": 2} if cheap_first else {},
    }
    return manifest_of(
        {
            "searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}},
            "trainer": {"epochs": 50},
            "reward": {"exponent": 1},
            "controller": controller,
        }
    )


LONGEST_RUN = "nas_controller.early_stopping.early_stopping.LONGEST_RUN"


class Driven(DrivenEngine):
    """An engine whose trials can be ended in a word."""

    def measure(self, lease: Lease, step: int, accuracy: float) -> bool:
        stops, durable = self.report(lease, [measurement(step, accuracy)])
        durable.result()
        return stops

    def train(self, accuracies: Sequence[float]) -> TrialState:
        """A whole trial with this curve, stopped if it is told to. Returns how it ended."""
        lease = self.lease()
        for step, accuracy in enumerate(accuracies, start=1):
            if self.measure(lease, step, accuracy):
                self.end(lease, TrialState.STOPPED_EARLY, accuracies[:step])
                return TrialState.STOPPED_EARLY
        self.end(lease, TrialState.SUCCEEDED, accuracies)
        return TrialState.SUCCEEDED

    def end(self, lease: Lease, state: TrialState, accuracies: Sequence[float]) -> None:
        series = tuple(measurement(step, accuracy) for step, accuracy in enumerate(accuracies, start=1))
        durable = self.complete(lease, TrialResult(state, series))
        assert durable is not None
        durable.result()


def measurement(step: int, accuracy: float) -> Measurement:
    return Measurement(step, {"val_accuracy": accuracy}, float(step))


def test_a_trial_that_falls_behind_is_stopped_and_is_no_full_result() -> None:
    engine = Driven(manifest(), journal())
    assert engine.train([0.5, 0.7]) is TrialState.SUCCEEDED
    assert engine.train([0.1, 0.9]) is TrialState.STOPPED_EARLY
    stopped = engine.journal.finished()[-1]
    assert (stopped.state, stopped.reward) == (TrialState.STOPPED_EARLY, pytest.approx(0.1))
    assert engine.progress.best_reward == pytest.approx(0.7)
    engine.work(wanted=0)
    history = engine.journal.history()
    assert [rewarded.complete for rewarded in history.finished] == [True, False]


def test_a_stopped_trial_is_worth_no_more_than_what_outranked_it_has_got_in_the_end() -> None:
    """The first trial was better at step 1, and has got worse since: the second must not profit from that."""
    reward = {"metric": "val_accuracy", "aggregate": "Last", "exponent": 1}
    search = manifest()
    engine = Driven(
        search.model_copy(
            update={"spec": search.spec.model_copy(update={"reward": type(search.spec.reward)(**reward)})}
        ),
        journal(),
    )
    assert engine.train([0.5, 0.2]) is TrialState.SUCCEEDED
    assert engine.train([0.4, 0.4]) is TrialState.STOPPED_EARLY
    assert engine.journal.finished()[-1].reward == pytest.approx(0.2)


def test_without_early_stopping_nothing_is_stopped_and_no_report_is_kept() -> None:
    engine = Driven(manifest("None"), journal())
    for accuracy in (0.9, 0.5, 0.1, 0.05):
        assert engine.train([accuracy, accuracy]) is TrialState.SUCCEEDED
    lease = engine.lease()
    engine.measure(lease, 1, 0.1)
    assert engine.journal.recover().reports == {}


def test_a_search_that_stops_everything_trains_one_to_its_end_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    engine = Driven(manifest("Median"), journal())
    for _ in range(2):
        engine.train([0.9, 0.9, 0.9])
    with caplog.at_level(logging.WARNING):
        states = [engine.train([0.1, 0.1, 0.1]) for _ in range(22)]
    assert states == [TrialState.STOPPED_EARLY] * 20 + [TrialState.SUCCEEDED, TrialState.STOPPED_EARLY]
    told = "20 trials in a row were stopped: trial 23 is trained to its end, whatever the rule says"
    assert told in caplog.text
    assert engine.journal.recover().facts["early_stopping"] == told


def test_a_trial_that_was_told_to_stop_is_told_again_after_a_restart(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        engine.train([0.5, 0.7])
        lease = engine.lease()
        assert engine.measure(lease, 1, 0.1)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest(), records)
        assert engine.measure(engine.leases.held()[0], 2, 0.1)


def test_a_trial_that_was_spared_is_spared_after_a_restart_until_it_has_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LONGEST_RUN, 2)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest("Median"), records)
        for accuracy in (0.9, 0.9, 0.1, 0.1):  # the last two are stopped
            engine.train([accuracy] * 2)
        spared = engine.lease("spared")
        assert not engine.measure(spared, 1, 0.1)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest("Median"), records)
        assert engine.train([0.1]) is TrialState.STOPPED_EARLY, "another is spared already"
        (spared,) = engine.leases.held()
        assert not engine.measure(spared, 2, 0.1)
        engine.end(spared, TrialState.SUCCEEDED, [0.1, 0.1])
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(manifest("Median"), records)
        states = [engine.train([0.1]) for _ in range(3)]
        assert states == [TrialState.STOPPED_EARLY, TrialState.STOPPED_EARLY, TrialState.SUCCEEDED], "the next in turn"


def test_a_spared_trial_that_gets_the_result_of_its_twin_is_spared_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be, given back, when `duplicates` was edited: and nobody would be spared after it."""
    monkeypatch.setattr(LONGEST_RUN, 2)
    stopping = build_early_stopping(manifest("Median").spec)
    assert stopping is not None

    def train(trial: int, accuracy: float) -> bool:
        stopping.begin(trial, f"lease-{trial}")
        stopping.report(trial, [measurement(1, accuracy)])
        return stopping.stops(trial)

    for trial, accuracy in enumerate((0.9, 0.9, 0.1, 0.1)):
        state = TrialState.STOPPED_EARLY if train(trial, accuracy) else TrialState.SUCCEEDED
        stopping.finish(trial, state, accuracy, [measurement(1, accuracy)])
    assert not train(4, 0.1)
    assert train(5, 0.1)
    stopping.drop(4)
    assert not train(6, 0.1)


def test_a_restart_compares_no_trial_with_cheap_first_trainings(tmp_path: Path) -> None:
    """With 0.1 on the rung 0.4 would be the second of three, and go on."""
    search = manifest(cheap_first=True)
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(search, records)
        engine.train([0.5, 0.7])  # the first training of a trial, which is promoted
        engine.train([0.5, 0.7])
        engine.train([0.1])
        assert engine.journal.finished()[-1].reason == "NotPromoted"
    with journal(tmp_path / "journal.sqlite") as records:
        engine = Driven(search, records)
        engine.train([0.8])
        assert engine.train([0.4, 0.9]) is TrialState.STOPPED_EARLY


def test_a_restart_during_a_final_training_forgets_nothing_of_its_trial(tmp_path: Path) -> None:
    def begin(trials: int) -> Driven:
        spec = manifest().spec.model_dump(mode="json", by_alias=True)
        search = manifest_of({**spec, "budget": {"maxTrials": trials}, "finalTraining": {"top": 1}})
        return Driven(search, journal(tmp_path / "journal.sqlite"), WeightStore(tmp_path / "weights"))

    engine = begin(trials=1)
    engine.train([0.5, 0.7])
    engine.journal.write().result()
    engine.check_budget()
    assert engine.lease().training
    engine.journal.close()
    engine = begin(trials=2)  # the search goes on
    assert engine.train([0.1, 0.9]) is TrialState.STOPPED_EARLY
    engine.journal.close()


def test_another_attempt_at_a_trial_begins_with_an_empty_curve() -> None:
    engine = Driven(manifest(), journal())
    engine.train([0.5, 0.7])
    lost = engine.lease()
    assert engine.measure(lost, 1, 0.1)
    engine.end_lease(lost, Ending.LOST)
    again = engine.lease()
    assert again.trial == lost.trial
    assert not engine.measure(again, 1, 0.6)
    assert [point.reward for point in engine.journal.recover().reports[again.trial]] == [0.6]


@pytest.mark.parametrize("restart", [False, True])
def test_what_a_trial_has_shown_counts_until_another_worker_has_it(tmp_path: Path, restart: bool) -> None:
    records = journal(tmp_path / "journal.sqlite")
    engine = Driven(manifest(), records)
    good, poor = engine.lease("good"), engine.lease("poor")
    engine.measure(good, 1, 0.9)
    engine.end_lease(good, Ending.RELEASED).result()
    if restart:
        records.close()
        records = journal(tmp_path / "journal.sqlite")
        engine = Driven(manifest(), records)
    assert engine.measure(engine.leases.held()[0], 1, 0.1), "it is behind"
    again = engine.lease("another")
    assert (again.trial, poor.trial) == (good.trial, engine.leases.held()[0].trial)
    assert not engine.measure(again, 1, 0.5)
    assert engine.journal.recover().reports[again.trial] == (ReportedPoint(1, pytest.approx(0.5)),)
    records.close()


def test_a_failed_trial_leaves_no_trace_in_the_rungs() -> None:
    engine = Driven(manifest(), journal())
    lease = engine.lease()
    engine.measure(lease, 1, 0.9)
    engine.complete(lease, TrialResult(TrialState.FAILED, reason="NonFiniteMetric"))
    assert engine.train([0.1, 0.1]) is TrialState.SUCCEEDED


def test_a_search_by_ask_and_tell_is_told_what_to_stop() -> None:
    search = Search(manifest(), journal())
    (good,) = search.ask(1)
    assert not search.report(good, 1, val_accuracy=0.5)
    search.tell(good, 0.6)
    (poor,) = search.ask(1)
    assert search.report(poor, 1, val_accuracy=0.1)
    search.tell_stopped(poor)
    assert search.engine.progress.counts[TrialState.STOPPED_EARLY] == 1


def on_digits(settings: dict[str, object], epochs: int) -> NASSearch:
    """A search whose task, unlike that of `manifest`, is known to report every epoch."""
    return NASSearch.model_validate(
        {
            "apiVersion": "kubenas.dev/v1alpha1",
            "kind": "NASSearch",
            "metadata": {"name": "test"},
            "spec": {"trainer": {"epochs": epochs}, "controller": {"earlyStopping": settings}},
        }
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_begins_at_epoch_3_unless_told_otherwise(rule: str) -> None:
    """The figures of docs/savings.md: one that begins at epoch 1 throws good networks away."""
    assert on_digits({"type": rule}, epochs=4).spec.controller.early_stopping.first_step[1] == 3


@pytest.mark.parametrize(
    ("settings", "epochs", "words"),
    [
        ({"type": "Median"}, 3, r"before the end of epoch 3, .* set \S+Stopping\.median\.warmupSteps to less than 3,"),
        ({"type": "ASHA"}, 2, r"set \S+Stopping\.asha\.minSteps to less than 2, train for longer, or"),
        ({"type": "ASHA", "asha": {"minSteps": 5}}, 5, "before the end of epoch 5, and trainer.epochs is 5"),
        ({"type": "CurveExtrapolation"}, 3, r"set \S+Stopping\.curveExtrapolation\.minReports to less than 3,"),
        ({"type": "Median", "median": {"warmupSteps": 0}}, 1, "is 1: train for longer, or let the type be None"),
    ],
)
def test_a_rule_that_could_stop_nothing_is_refused(settings: dict[str, object], epochs: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        on_digits(settings, epochs)


def test_a_training_of_two_epochs_can_be_stopped_after_its_first() -> None:
    assert on_digits({"type": "ASHA", "asha": {"minSteps": 1}}, epochs=2)


# For any curves. ------------------------------------------------------------------------------------------------------

CURVES = st.lists(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5), min_size=1, max_size=12)


@given(curves=CURVES, rule=st.sampled_from(list(RULES)))
@settings(max_examples=40, deadline=None)
def test_no_stopped_trial_is_worth_more_than_it_showed_or_than_what_it_lost_to(
    curves: list[list[float]], rule: str
) -> None:
    search = manifest(rule)
    engine = Driven(search, journal())
    completed: list[tuple[Curve, float]] = []
    for accuracies in curves:
        engine.train(accuracies)
        record = engine.journal.finished(after=engine.last_sequence - 1, measurements=True)[0]
        assert record.reward is not None
        known = Curve.of(points_of(record.measurements, search.spec.reward))
        if record.state is TrialState.SUCCEEDED:
            completed.append((known, record.reward))
            continue
        assert record.reward <= max(m.metrics["val_accuracy"] for m in record.measurements)
        for other, reward in completed:
            at_that_step = other.best_by(known.last_step)
            if at_that_step is not None and at_that_step >= known.best[-1]:
                assert record.reward <= reward


EVENTS = st.lists(
    st.tuples(st.sampled_from(["lease", "report", "report", "report", "finish", "lose", "restart"]), st.integers(0, 9)),
    max_size=40,
)


def play(events: Sequence[tuple[str, int]], search: NASSearch, path: Path, *, restarts: bool) -> list[object]:
    """What the engine said, with the restarts among the events or without."""
    records = journal(path)
    engine = Driven(search, records)
    said: list[object] = []
    curves: dict[int, list[float]] = {}
    for event, value in events:
        held = sorted(engine.leases.held(), key=lambda lease: lease.trial)
        lease = held[value % len(held)] if held else None
        match event:
            case "lease" if len(held) < 4:
                curves[engine.lease(f"worker-{engine.last_sequence}-{len(held)}-{value}").trial] = []
            case "report" if lease:
                curves[lease.trial].append((1 + value) / 10)
                said.append((lease.trial, engine.measure(lease, len(curves[lease.trial]), curves[lease.trial][-1])))
                if said[-1] == (lease.trial, True):
                    engine.end(lease, TrialState.STOPPED_EARLY, curves[lease.trial])
            case "finish" if lease and curves[lease.trial]:
                engine.end(lease, TrialState.SUCCEEDED, curves[lease.trial])
            case "lose" if lease:
                engine.end_lease(lease, Ending.RELEASED).result()
            case "restart" if restarts:
                records.close()
                records = journal(path)
                engine = Driven(search, records)
    said += [(record.sampled.trial, record.state, record.reward) for record in records.finished()]
    records.close()
    return said


@given(events=EVENTS, rule=st.sampled_from(list(RULES)), cheap_first=st.booleans())
@example(
    # The rung has what a trial had shown before it was given back.
    events=[("lease", 0), ("lease", 0), ("report", 8), ("lose", 0), ("restart", 0), ("report", 0)],
    rule="ASHA",
    cheap_first=False,
)
@settings(max_examples=25, deadline=None)
def test_a_search_that_is_killed_stops_and_spares_the_same_trials_for_the_same_rewards(
    events: list[tuple[str, int]], rule: str, cheap_first: bool
) -> None:
    # Of one trial each: after a restart those of a batch that wait may go out in another order.
    search = manifest(rule, cheap_first=cheap_first, batch_size=1)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(LONGEST_RUN, 2)
        killed = play(events, search, Path(directory) / "killed.sqlite", restarts=True)
        assert killed == play(events, search, Path(directory) / "whole.sqlite", restarts=False)
