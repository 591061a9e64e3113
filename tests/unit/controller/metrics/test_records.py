"""What the metrics of a controller count, from the records of searches driven here."""

from pathlib import Path
from typing import Any

import pytest
from nas_api.spec import NASSearch
from nas_child.task import FailureReason
from nas_controller.journal.journal import Measurement, TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import Ending
from nas_controller.metrics.labels import FAILURES, MOST_POOLS
from nas_controller.metrics.records import RecordObserver
from nas_controller.metrics.search_metrics import SearchMetrics
from nas_controller.trial_result import TrialResult

from tests.unit.controller.driven_engine import DrivenEngine, journal, manifest_of

ONE_CHOICE = {"type": "Discrete", "discrete": {"choices": [{"name": "width", "values": [1]}]}}
TASK = {"trainer": {"task": "mine:train"}, "reward": {"metric": "accuracy", "exponent": 1}}


class Observed:
    """A search whose records are counted."""

    def __init__(self, kept: SqliteJournal, **spec: Any) -> None:
        self.search: NASSearch = manifest_of({**TASK, "searchSpace": ONE_CHOICE, **spec})
        self.metrics = SearchMetrics(self.search)
        kept.observe(RecordObserver(self.metrics, kept))
        self.engine = DrivenEngine(self.search, kept)

    def train(self, seconds: float, accuracy: float = 0.5, state: TrialState = TrialState.SUCCEEDED) -> None:
        """Trains the next architecture."""
        measured = (Measurement(1, {"accuracy": accuracy}, seconds),)
        result = TrialResult(state, measured, reason="Mine", train_seconds=seconds, device_seconds=seconds)
        durable = self.engine.complete(self.engine.lease(), result)
        assert durable is not None
        durable.result()

    def value(self, name: str, **labels: str) -> float:
        """Sum of the samples of that name and of at least these labels."""
        samples = [sample for metric in self.metrics.registry.collect() for sample in metric.samples]
        found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
        assert found
        return sum(found)


@pytest.fixture
def kept() -> SqliteJournal:
    return journal()


def test_a_duplicate_saves_what_its_twin_took(kept: SqliteJournal) -> None:
    observed = Observed(kept, controller={"parallelism": {"batchSize": 3}, "algorithm": {"type": "Random"}})
    observed.train(seconds=7)

    assert observed.value("nas_saved_trials_total", by="duplicates") == 2
    assert observed.value("nas_saved_seconds_total", by="duplicates") == 14
    assert observed.value("nas_trials_finished_total", outcome="replayed", pool="") == 2
    assert observed.value("nas_trials_finished_total", outcome="succeeded") == 1
    assert observed.value("nas_trials_sampled_total") == 3


TRAIN = {"duplicates": "Train", "algorithm": {"type": "Random"}}


def test_a_stopped_trial_saves_what_full_trainings_took_longer(kept: SqliteJournal) -> None:
    observed = Observed(kept, controller={**TRAIN, "earlyStopping": {"type": "Median"}})
    observed.train(seconds=10)
    observed.train(seconds=20)
    observed.train(seconds=6, state=TrialState.STOPPED_EARLY)

    assert observed.value("nas_saved_trials_total", by="early_stopping") == 1
    assert observed.value("nas_saved_seconds_total", by="early_stopping") == 9
    assert observed.value("nas_reward_count") == 2, "what was stopped has not shown what it is worth"


def test_how_long_full_trainings_take_is_known_after_a_restart(tmp_path: Path) -> None:
    controller = {**TRAIN, "earlyStopping": {"type": "Median"}}
    with journal(tmp_path / "journal.sqlite") as first:
        Observed(first, controller=controller).train(seconds=30)
    with journal(tmp_path / "journal.sqlite") as second:
        observed = Observed(second, controller=controller)
        observed.train(seconds=10, state=TrialState.STOPPED_EARLY)

    assert observed.value("nas_saved_seconds_total", by="early_stopping") == 20
    assert observed.value("nas_trials_finished_total") == 1


def test_every_reason_that_a_worker_gives_has_a_series_and_others_share_one(kept: SqliteJournal) -> None:
    assert {reason.value for reason in FailureReason} <= set(FAILURES)
    observed = Observed(kept, controller=TRAIN)
    observed.train(seconds=1, state=TrialState.FAILED)
    assert observed.value("nas_trial_failures_total", reason="Other") == 1


def test_leases_end_by_reason(kept: SqliteJournal) -> None:
    observed = Observed(kept, controller=TRAIN)
    for ending in (Ending.RELEASED, Ending.LOST, Ending.EXPIRED):
        observed.engine.end_lease(observed.engine.lease(), ending).result()
    for reason in ("released", "lost", "expired"):
        assert observed.value("nas_leases_ended_total", reason=reason) == 1
    assert observed.value("nas_leases_ended_total", reason="finished") == 0


def test_an_observer_that_fails_is_logged_and_stops_nothing(
    kept: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no metrics today")

    observed = Observed(kept, controller=TRAIN)
    kept.observe(fail)
    observed.train(seconds=1)
    assert observed.engine.progress.finished == 1
    assert "no metrics today" in caplog.text


def test_a_pool_that_is_added_later_has_all_of_its_series_and_there_are_never_too_many() -> None:
    metrics = SearchMetrics(manifest_of({}))

    def pools() -> set[str]:
        [finished] = [metric for metric in metrics.registry.collect() if metric.name == "nas_trials_finished"]
        return {sample.labels["pool"] for sample in finished.samples}

    assert pools() == {"default", ""}
    metrics.idled("spot", 1.0)
    assert pools() == {"default", "spot", ""}
    for number in range(1000):
        metrics.idled(f"pool-{number}", 1.0)
    assert len(pools()) == len(metrics.pools) == MOST_POOLS
    assert metrics.idle_seconds["",] is metrics.idle_seconds[metrics.pool("pool-999"),]
