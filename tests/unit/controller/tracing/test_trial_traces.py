"""Traces of trials, from the records of searches driven here."""

from pathlib import Path
from typing import Any

import pytest
import torch
from nas_controller.journal.journal import Measurement, TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import Ending, Lease
from nas_controller.tracing.trial_traces import TrialTraces
from nas_controller.trial_result import TrialResult
from nas_controller.weight_store import WeightStore
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBasedTraceIdRatio, Sampler
from opentelemetry.trace import SpanContext

from tests.unit.controller.driven_engine import DrivenEngine, journal, manifest_of

torch.set_num_threads(1)

CHOICES = {"type": "Discrete", "discrete": {"choices": [{"name": "width", "values": list(range(64))}]}}
TASK = {"trainer": {"task": "mine:train"}, "reward": {"metric": "accuracy", "exponent": 1}}
TRAIN = {"duplicates": "Train", "algorithm": {"type": "Random"}, "parallelism": {"batchSize": 1}}


class Traced:
    """A search whose trials are traced."""

    def __init__(self, kept: SqliteJournal, weights: Path, sampler: Sampler = ALWAYS_ON, **spec: Any) -> None:
        self.search = manifest_of({**TASK, "searchSpace": CHOICES, "controller": TRAIN, **spec})
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.kept = kept
        self.traces = TrialTraces(provider, self.search, kept)
        kept.observe(self.traces)
        self.engine = DrivenEngine(self.search, kept, WeightStore(weights))

    def complete(self, lease: Lease, accuracy: float = 0.5, **more: Any) -> None:
        """The result of a lease."""
        result = {"state": TrialState.SUCCEEDED, "measurements": (Measurement(1, {"accuracy": accuracy}, 1.0),), **more}
        durable = self.engine.complete(lease, TrialResult(**result))
        assert durable is not None
        durable.result()

    def train(self, accuracy: float = 0.5, **more: Any) -> Lease:
        """Trains the next architecture."""
        lease = self.engine.lease()
        self.complete(lease, accuracy, **more)
        return lease

    def settle(self) -> None:
        """Waits until the journal has everything, as a second stage does before it is planned."""
        self.kept.write().result()
        self.engine.check_budget()

    def spans(self, name: str) -> list[ReadableSpan]:
        """Those of that name so far, in the order in which they ended."""
        self.kept.write().result()
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def attribute(span: ReadableSpan, name: str) -> Any:
    assert span.attributes is not None
    return span.attributes.get(f"kubenas.{name}")


def test_a_first_training_and_the_full_one_are_two_leases_of_one_trace(weights: Path) -> None:
    traced = Traced(journal(), weights, controller={**TRAIN, "lowFidelity": {"epochs": 1}})
    traced.train(0.25)
    traced.train(0.5)
    first, full = traced.spans("lease")
    [trial] = traced.spans("trial")
    assert attribute(first, "trial.outcome") == "promoted"
    assert attribute(first, "trial.reward") == 0.25
    assert attribute(full, "trial.outcome") == attribute(trial, "trial.outcome") == "succeeded"
    assert first.parent == full.parent
    assert full.parent is not None
    assert full.parent.span_id == context_of(trial).span_id
    assert trial.start_time == first.start_time
    assert trial.end_time == full.end_time


def test_a_trial_with_which_too_many_workers_were_lost_has_failed(weights: Path) -> None:
    traced = Traced(journal(), weights, controller={**TRAIN, "lease": {"maxAttempts": 2}})
    for ending in (Ending.RELEASED, Ending.LOST, Ending.EXPIRED):
        traced.engine.end_lease(traced.engine.lease(), ending).result()
    leases = traced.spans("lease")
    assert [(attribute(lease, "lease.ending"), lease.status.is_ok) for lease in leases] == [
        ("released", True), ("lost", False), ("expired", False)
    ]  # fmt: skip
    [trial] = traced.spans("trial")
    assert trial.attributes is not None
    assert trial.attributes["error.type"] == "AttemptsExhausted"
    assert trial.status.description is not None
    assert trial.status.description.startswith("AttemptsExhausted: 2 workers were lost")


def test_a_lease_that_is_taken_up_again_has_another_span(weights: Path) -> None:
    traced = Traced(journal(), weights)
    lease = traced.engine.lease()
    traced.engine.end_lease(lease, Ending.EXPIRED).result()
    assert traced.engine.revive(lease.token, lease.worker) is not None
    traced.complete(lease)
    expired, finished = traced.spans("lease")
    assert context_of(expired).trace_id == context_of(finished).trace_id
    assert context_of(expired).span_id != context_of(finished).span_id
    assert expired.parent == finished.parent


def test_a_result_that_comes_after_the_lease_has_expired_ends_the_trace(weights: Path) -> None:
    traced = Traced(journal(), weights)
    lease = traced.engine.lease()
    traced.engine.end_lease(lease, Ending.EXPIRED).result()
    traced.complete(lease)
    [expired] = traced.spans("lease")
    [trial] = traced.spans("trial")
    assert attribute(expired, "lease.ending") == "expired"
    assert attribute(trial, "trial.outcome") == "succeeded"


def test_what_early_stopping_looks_at_is_told(weights: Path) -> None:
    traced = Traced(journal(), weights, controller={**TRAIN, "earlyStopping": {"type": "Median"}})
    lease = traced.engine.lease()
    traced.engine.report(lease, [Measurement(1, {"accuracy": 0.25}, 1.0)])
    traced.engine.report(lease, [Measurement(2, {"accuracy": 0.5}, 2.0)])
    traced.complete(lease, state=TrialState.STOPPED_EARLY)
    [span] = traced.spans("lease")
    reports = [dict(event.attributes or {}) for event in span.events]
    assert [(report["kubenas.step"], report["kubenas.trial.reward"]) for report in reports] == [(1, 0.25), (2, 0.5)]
    assert attribute(span, "trial.outcome") == "stopped_early"
    assert span.status.is_ok


def test_a_trial_that_is_not_trained_has_no_trace(weights: Path) -> None:
    one = {"type": "Discrete", "discrete": {"choices": [{"name": "width", "values": [1]}]}}
    replayed = {"parallelism": {"batchSize": 3}, "algorithm": {"type": "Random"}}
    traced = Traced(journal(), weights, searchSpace=one, controller=replayed)
    traced.train()
    assert traced.engine.progress.replayed == 2
    assert len(traced.spans("trial")) == 1


def test_a_final_training_has_a_trace_of_its_own(weights: Path) -> None:
    traced = Traced(journal(), weights, finalTraining={"top": 1}, budget={"maxTrials": 2})
    traced.train(0.25)
    best = traced.train(0.5)
    traced.engine.work(wanted=0)
    traced.settle()
    traced.settle()
    granted = traced.engine.grant("w", None)
    assert granted is not None
    traced.complete(granted.lease, 0.75)
    [training] = traced.spans("final training")
    lease = traced.spans("lease")[-1]
    assert attribute(training, "final_training.id") == attribute(lease, "final_training.id") == 1
    assert attribute(training, "trial.reward") == 0.75
    assert attribute(lease, "trial.id") == best.trial
    assert lease.parent is not None
    assert lease.parent.span_id == context_of(training).span_id
    assert len({context_of(span).trace_id for span in (*traced.spans("trial"), training)}) == 3


def test_of_a_trial_all_is_sampled_or_nothing(weights: Path) -> None:
    traced = Traced(journal(), weights, ParentBasedTraceIdRatio(0.5))
    told: dict[int, tuple[str, bool]] = {}
    for _ in range(40):
        lease = traced.engine.lease()
        _, trace, _, flags = traced.traces.traceparent(lease).split("-")
        told[lease.trial] = (trace, bool(int(flags, 16) & 1))
        traced.complete(lease)
    assert 0 < sum(sampled for _, sampled in told.values()) < 40
    expected = {trial: trace for trial, (trace, sampled) in told.items() if sampled}
    for name in ("trial", "lease"):
        spans = traced.spans(name)
        assert {attribute(span, "trial.id"): f"{context_of(span).trace_id:032x}" for span in spans} == expected


def test_another_search_of_the_same_name_has_other_traces(weights: Path) -> None:
    first, second = Traced(journal(), weights), Traced(journal(), weights)
    for traced in (first, second):
        traced.train()
    [one], [other] = first.spans("trial"), second.spans("trial")
    assert context_of(one).trace_id != context_of(other).trace_id


def test_a_trial_that_was_given_back_before_a_restart_is_one_trace_from_its_first_lease(tmp_path: Path) -> None:
    with journal(tmp_path / "journal.sqlite") as kept:
        before = Traced(kept, tmp_path / "weights")
        before.engine.end_lease(before.engine.lease(), Ending.RELEASED).result()
        [released] = before.spans("lease")
    with journal(tmp_path / "journal.sqlite") as kept:
        after = Traced(kept, tmp_path / "weights")
        after.train()
        [finished], [trial] = after.spans("lease"), after.spans("trial")
    assert released.parent == finished.parent
    assert finished.parent is not None
    assert finished.parent.span_id == context_of(trial).span_id
    assert trial.start_time == released.start_time
