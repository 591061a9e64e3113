"""OpenTelemetry traces, as a collector receives them: one for each trial, from its lease to its result."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from nas_api.rpc import trials_pb2 as pb

from tests.integration.controller_process import ControllerProcess
from tests.integration.nas_program import Workplace
from tests.integration.trace_receiver import TraceReceiver, children, receiving_traces
from tests.integration.trial_client import Client

SECRET = "a-token-for-an-object-store"
# An optimizer takes its first step, the second trial fails, and the others report twice.
TASK = """\
import torch

def train(trial, report):
    weight = torch.nn.Linear(1, 1)
    weight(torch.ones(1, 1)).sum().backward()
    torch.optim.SGD(weight.parameters(), lr=0.1).step()
    if trial.number == 2:
        raise RuntimeError("no good\\nand more")
    report(1, accuracy=0.25)
    report(2, accuracy=0.5)
"""
SPEC = """\
  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}
  controller:
    parallelism: {batchSize: 2}
    lease: {duration: 10s}
  reward: {metric: val_accuracy, exponent: 1}"""


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with receiving_traces() as receiver:
        yield receiver


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    workplace = Workplace(tmp_path)
    workplace.write_task(trials=4)
    (tmp_path / "own_task.py").write_text(TASK)
    return workplace


@pytest.fixture
def traced(controller: ControllerProcess, receiver: TraceReceiver) -> ControllerProcess:
    """A controller that sends its traces to `receiver`."""
    controller.environment = receiver.environment
    controller.write_manifest(SPEC)
    controller.start()
    return controller


def set_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_local_run_has_a_trace_for_each_trial(
    workplace: Workplace, receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, **receiver.environment, AWS_SECRET_ACCESS_KEY=SECRET)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    done = workplace.run()
    assert done.returncode == 0, done.stderr
    rewards = {record.sampled.trial: record.reward for record in workplace.finished()}

    traces = receiver.traces().values()
    by_trial = {spans[0].attributes["kubenas.trial.id"]: spans for spans in traces}
    assert len(traces) == len(by_trial)
    assert sorted(by_trial) == [1, 2, 3, 4]
    for number, spans in by_trial.items():
        [trial] = [span for span in spans if not span.span.parent_span_id]
        [lease] = children(trial, spans)
        [train] = children(lease, spans)
        prepare, fit, deliver = children(train, spans)
        assert [span.name for span in (trial, lease, train)] == ["trial", "lease", "train"]
        assert [span.name for span in (prepare, fit, deliver)] == ["prepare", "fit", "deliver"]
        assert len(spans) == 6
        assert {span.resource["service.name"] for span in (trial, lease)} == {"kubenas-controller"}
        assert {span.resource["service.name"] for span in (train, prepare, fit, deliver)} == {"kubenas-worker"}
        assert {span.resource["deployment.environment.name"] for span in spans} == {"test"}

        outcome = "failed" if number == 2 else "succeeded"
        search = {"kubenas.search.name": "tiny", "kubenas.search.namespace": "default", "kubenas.trial.id": number}
        result = {"kubenas.trial.outcome": outcome, "kubenas.trial.reward": rewards[number]}
        error = {"error.type": "TaskRaised"} if number == 2 else {}
        held = {
            "kubenas.lease.id": f"1.{number}.default",
            "kubenas.lease.attempt": 1,
            "kubenas.pool": "default",
            "kubenas.worker.id": "default-0",
        }
        assert trial.attributes == search | result | error
        assert lease.attributes == search | held | result | error | {"kubenas.lease.ending": "finished"}
        assert train.attributes == search | held | {"kubenas.trial.outcome": outcome} | error
        assert {span.failed for span in (trial, lease, train)} == {number == 2}
        measured = [] if number == 2 else [(1, 0.25), (2, 0.5)]
        assert [(r["kubenas.step"], r["kubenas.metric.accuracy"]) for r in fit.reports] == measured

    failed = by_trial[2][0].span.status.message
    assert failed.startswith("TaskRaised: RuntimeError: no good")
    assert "and more" not in failed
    everything = b"".join(received.span.SerializeToString() for received in receiver.spans)
    assert SECRET.encode() not in everything


def test_a_lease_that_expires_is_seen_and_the_next_one_is_in_the_same_trace(
    traced: ControllerProcess, receiver: TraceReceiver
) -> None:
    client = Client(traced)
    client.register("silent")
    client.register("other")
    lost = client.lease("silent").assignment
    client.wait_for_summary(lambda summary: summary.leases_expired == 1)
    taken = client.lease("other").assignment
    assert taken.trial_id == lost.trial_id
    client.complete(taken.lease, "other")
    spans = receiver.wait_for(lambda spans: len(spans) == 3)

    [spans_of_one] = receiver.traces().values()
    assert len(spans_of_one) == len(spans)
    [trial] = [span for span in spans if span.name == "trial"]
    expired, finished = children(trial, spans_of_one)
    assert [lease.attributes["kubenas.lease.ending"] for lease in (expired, finished)] == ["expired", "finished"]
    assert [lease.attributes["kubenas.lease.attempt"] for lease in (expired, finished)] == [1, 2]
    assert [lease.attributes["kubenas.worker.id"] for lease in (expired, finished)] == ["silent", "other"]
    assert (expired.failed, finished.failed, trial.failed) == (True, False, False)
    assert expired.attributes["error.type"] == "expired"
    for assignment, lease in ((lost, expired), (taken, finished)):
        _, trace, parent, flags = assignment.traceparent.split("-")
        assert (trace, parent) == (lease.span.trace_id.hex(), lease.span.span_id.hex())
        assert int(flags, 16) & 1, "sampled"
        token = assignment.lease.rpartition(".")[2].encode()
        assert not any(token in span.span.SerializeToString() for span in spans), "who knows it holds the lease"


def test_a_controller_that_was_killed_goes_on_with_its_traces(
    traced: ControllerProcess, receiver: TraceReceiver
) -> None:
    client = Client(traced)
    client.register()
    first = client.lease(request_id="the-same").assignment
    traced.kill()
    traced.start()
    again = Client(traced)
    second = again.lease(request_id="the-same").assignment
    assert second.lease == first.lease
    assert second.traceparent == first.traceparent
    assert again.complete(first.lease) == pb.CompleteReply.ACCEPTED
    spans = receiver.wait_for(lambda spans: len(spans) == 2)

    [trial] = [span for span in spans if span.name == "trial"]
    [lease] = children(trial, spans)
    assert lease.attributes["kubenas.lease.ending"] == "finished"
    assert lease.span.start_time_unix_nano == trial.span.start_time_unix_nano, "of its first life"


def test_a_controller_sends_what_is_left_when_it_ends(controller: ControllerProcess, receiver: TraceReceiver) -> None:
    controller.environment = receiver.environment | {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    controller.write_manifest(SPEC)
    controller.start()
    client = Client(controller)
    client.register()
    client.complete(client.lease().assignment.lease)
    assert receiver.spans == []
    assert controller.stop() == 0
    assert sorted(span.name for span in receiver.spans) == ["lease", "trial"]


def test_a_controller_ends_in_order_when_its_collector_is_away(controller: ControllerProcess) -> None:
    """Though what is left would be tried to be sent for long."""
    controller.environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "3600"}
    controller.write_manifest(SPEC)
    controller.start()
    client = Client(controller)
    client.register()
    client.complete(client.lease().assignment.lease)
    assert controller.stop() == 0
    assert "the last traces were not sent in 3 s, and are lost" in controller.log.read_text()


def test_a_search_whose_collector_is_away_goes_on_and_says_so_once(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    set_environment(monkeypatch, OTEL_BSP_SCHEDULE_DELAY="10", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    done = workplace.run()
    assert done.returncode == 0, done.stderr
    assert len(workplace.finished()) == 4
    for name in ("controller", "worker-default-0"):
        log = (workplace.state / "logs" / f"{name}.log").read_text()
        assert log.count("traces cannot be sent to 127.0.0.1:1, and are dropped until they can: ") == 1, log
        assert "opentelemetry" not in log, "nor does the library say it again and again"


def test_without_opentelemetry_a_search_runs_and_says_what_to_install(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = workplace.directory / "hiding" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hidden.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    done = workplace.run()
    assert done.returncode == 0, done.stderr
    words = "traces are not sent: OpenTelemetry is not installed; pip install opentelemetry-sdk"
    assert f"warning: {words}" in done.stderr
    for name in ("controller", "worker-default-0"):
        assert (workplace.state / "logs" / f"{name}.log").read_text().count(words) == 1
