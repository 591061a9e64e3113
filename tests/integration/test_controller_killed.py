"""`kill -9` of the controller at any instant: nothing is lost, nothing counts twice, and the policy is the same."""

import hashlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc
from nas_controller.journal.journal import Recovered, TrialRecord
from nas_controller.journal.sqlite import SqliteJournal

from tests.integration.controller_process import ControllerProcess

TRIALS = 24
SPEC = f"""\
  searchSpace:
    convNet: {{layers: {{initial: 2, increment: 1, every: 8, max: 3}}}}
  controller:
    duplicates: Train
    policy: {{hiddenSize: 8}}
    parallelism: {{batchSize: 4, parameterShards: 3}}
    algorithm: {{reinforce: {{learningRate: 0.01}}}}
  budget: {{maxTrials: {TRIALS}}}
"""
# One keeps parameters in the journal, the other reads the history of the search from it.
SPECS = {
    "REINFORCE": SPEC,
    "LocalSearch": SPEC.replace("batchSize: 4, ", "").replace(
        "{reinforce: {learningRate: 0.01}}", "{type: LocalSearch, localSearch: {initialSamples: 2}}"
    ),
}
UPDATES = {"REINFORCE": TRIALS // 4, "LocalSearch": TRIALS}


def reward_of(architecture: str) -> float:
    """A reward that depends on the architecture alone, between 0 and 1."""
    return int(hashlib.sha256(architecture.encode()).hexdigest()[:8], 16) / 2**32


class Worker:
    """A worker that trains nothing, asks again whatever was not answered, and remembers what was acknowledged."""

    def __init__(self, name: str, stub: rpc.TrialServiceStub, before_call: Callable[[], None]) -> None:
        self.name = name
        self.acknowledged: dict[int, float] = {}
        self._stub = stub
        self._before_call = before_call

    def run(self) -> None:
        """Works until retired."""
        self._call("Register", pb.RegisterRequest(worker_id=self.name, pool="default", device="cpu"))
        number = 0
        while True:
            number += 1
            lease = pb.LeaseRequest(request_id=f"{self.name}-{number}", worker_id=self.name, wait_seconds=5)
            reply = self._call("Lease", lease)
            if reply.HasField("retire"):
                return
            if not reply.HasField("assignment"):
                continue
            trial = reply.assignment
            reward = reward_of(trial.architecture)
            complete = pb.CompleteRequest(
                lease=trial.lease,
                worker_id=self.name,
                outcome=pb.SUCCEEDED,
                measurements=[pb.Measurement(step=1, metrics={"val_accuracy": reward}, seconds=0.1)],
            )
            status = self._call("Complete", complete).status
            assert status in (pb.CompleteReply.ACCEPTED, pb.CompleteReply.DUPLICATE)
            self.acknowledged[trial.trial_id] = reward

    def _call(self, method: str, request: object) -> pb.LeaseReply:
        while True:
            self._before_call()
            try:
                reply: pb.LeaseReply = getattr(self._stub, method)(request, timeout=20)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    raise
            else:
                return reply


def journal_of(directory: Path) -> tuple[Recovered, list[TrialRecord]]:
    journal = SqliteJournal(directory / "journal.sqlite", "default/test")
    try:
        return journal.recover(), journal.finished()
    finally:
        journal.close()


def run(directory: Path, algorithm: str, kill_points: list[tuple[int, float]]) -> Worker:
    """A whole search with one worker.

    At each of `kill_points`, (call, seconds), the controller is killed so long after that call, and started again.
    """
    directory.mkdir()
    controller = ControllerProcess(directory)
    controller.write_manifest(SPECS[algorithm])
    controller.start()
    points = dict(kill_points)
    calls = 0
    killers: list[threading.Thread] = []

    def kill_and_start_again(seconds: float) -> None:
        time.sleep(seconds)
        controller.kill()
        controller.start()

    def before_call() -> None:
        nonlocal calls
        calls += 1
        if calls in points:
            for killer in killers:
                killer.join()
            killers.append(threading.Thread(target=kill_and_start_again, args=(points[calls],)))
            killers[-1].start()

    try:
        with controller.channel() as channel:
            worker = Worker("worker", rpc.TrialServiceStub(channel), before_call)
            worker.run()
        for killer in killers:
            killer.join()
        controller.wait_until_ended()
        assert controller.stop() == 0
    finally:
        controller.end()
    return worker


@pytest.fixture(scope="module", params=SPECS)
def uninterrupted(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted") / "run"
    run(directory, request.param, [])
    return request.param, journal_of(directory)


points = st.lists(
    st.tuples(st.integers(2, 2 * TRIALS), st.floats(0, 0.02)), min_size=4, max_size=5, unique_by=lambda point: point[0]
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(kill_points=points)
def test_with_the_same_order_of_results_the_policy_is_that_of_an_uninterrupted_run(
    kill_points, uninterrupted, tmp_path_factory
) -> None:
    """32 kills or more of each algorithm, at instants that hypothesis chooses."""
    algorithm, (expected, expected_finished) = uninterrupted
    directory = tmp_path_factory.mktemp("killed") / "run"
    worker = run(directory, algorithm, kill_points)

    recovered, finished = journal_of(directory)
    assert {t.sampled.trial: t.reward for t in finished} == {n: r**3 for n, r in worker.acknowledged.items()}
    assert [(t.sampled, t.reward) for t in finished] == [(t.sampled, t.reward) for t in expected_finished]
    assert recovered.version == expected.version == UPDATES[algorithm]
    assert recovered.snapshots[recovered.version] == expected.snapshots[expected.version]
    assert recovered.state == expected.state


@pytest.mark.parametrize("seed", range(3))
def test_with_many_workers_nothing_is_lost_and_nothing_counts_twice(seed, make_controller, tmp_path) -> None:
    controller = make_controller(tmp_path)
    controller.write_manifest(SPEC.replace(f"maxTrials: {TRIALS}", "maxTrials: 200"))
    controller.start()
    rng = random.Random(seed)
    with controller.channel() as channel:
        workers = [Worker(f"worker-{i}", rpc.TrialServiceStub(channel), lambda: None) for i in range(6)]
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(rng.uniform(0.02, 0.3))
            controller.kill()
            controller.start()
        for thread in threads:
            thread.join()
    assert controller.stop() == 0

    _, finished = journal_of(tmp_path)
    acknowledged = {n: r for worker in workers for n, r in worker.acknowledged.items()}
    assert len(acknowledged) == sum(len(worker.acknowledged) for worker in workers) == 200
    assert {t.sampled.trial: t.reward for t in finished} == {n: r**3 for n, r in acknowledged.items()}
    assert [t.sequence for t in finished] == list(range(1, 201))
