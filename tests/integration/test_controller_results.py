"""What the command line reads of a search through its controller is what it reads from its state directory."""

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nas_api.manifest import load_manifest
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc
from nas_cli.bootstrap import best_architectures
from nas_cli.cluster.controller import Controller, ControllerUnreachable
from nas_cli.cluster.results import ControllerResults
from nas_cli.failure import BadInput
from nas_cli.results import open_results
from nas_cli.running.plain_view import PlainView
from nas_cli.running.watching import ElsewhereRun, Watched, watch
from nas_cli.search_results import SearchResults
from nas_controller.journal.journal import TrialRecord
from nas_controller.proposal import Proposal
from rich.console import Console

from tests.integration.controller_process import ControllerProcess
from tests.integration.trial_client import Client

SPEC = """\
  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}
  controller: {parallelism: {batchSize: 4}, duplicates: Train}
  budget: {maxTrials: 12}"""
SHAPE = pb.DataShape(channels=1, height=8, width=8, classes=10)


@pytest.fixture
def both(controller: ControllerProcess) -> Iterator[tuple[SearchResults, SearchResults]]:
    """The results of a search with seven finished trials, one failed: by its controller, and by its journal."""
    controller.write_manifest(SPEC)
    controller.start()
    client = Client(controller)
    client.register(data_shape=SHAPE)
    for number in range(8):
        lease = client.lease().assignment.lease
        if number == 3:
            client.complete(lease, outcome=pb.FAILED, reason="OutOfMemory", message="too large")
        elif number < 7:
            client.complete(lease, accuracy=0.3 + 0.1 * ((number * 3) % 7))
    search = load_manifest(controller.directory / "search.yaml")
    with controller.channel("admin") as channel:
        through_controller = ControllerResults(search, Controller(rpc.SearchServiceStub(channel)))
        with open_results(controller.directory) as from_journal:
            yield through_controller, from_journal


def as_told(records: list[TrialRecord]) -> list[TrialRecord]:
    """Without what a controller does not tell: the decisions that led to an architecture, and its batch."""
    return [
        replace(record, sampled=replace(record.sampled, batch=0, proposal=Proposal((), record.sampled.proposal.depth)))
        for record in records
    ]


def test_they_are_the_same(both: tuple[SearchResults, SearchResults]) -> None:
    told, kept = both
    assert told.trials() == as_told(kept.trials())
    assert len(told.trials()) >= 8
    assert told.trials(3) == as_told(kept.trials(3))
    assert told.best(3) == as_told(kept.best(3))
    assert told.best(1000) == as_told(kept.best(1000))
    assert len(told.best(1000)) == 6
    assert told.trial("best") == as_told([kept.trial("best")])[0]
    assert told.trial("4") == as_told([kept.trial("4")])[0]
    assert told.data_shape() == kept.data_shape()
    assert told.data_shape() is not None


def test_the_updates_of_the_policy_are_the_same(both: tuple[SearchResults, SearchResults]) -> None:
    told, kept = both
    deadline = time.monotonic() + 60
    while not kept.updates():
        assert time.monotonic() < deadline, "no update in 60 s"
        time.sleep(0.05)
    assert told.updates() == kept.updates()
    assert told.updates(after=kept.updates()[-1].version) == []


def test_finished_trials_come_in_the_order_in_which_they_finished(both: tuple[SearchResults, SearchResults]) -> None:
    told, kept = both
    assert told.finished() == as_told(kept.finished())
    assert [record.sequence for record in told.finished()] == [1, 2, 3, 4, 5, 6, 7]
    assert told.finished(after=5, measurements=True) == as_told(kept.finished(after=5, measurements=True))
    assert told.finished(after=7) == []


def test_another_search_can_begin_with_the_best_of_either(both: tuple[SearchResults, SearchResults]) -> None:
    told, kept = both
    assert best_architectures(told, 3) == best_architectures(kept, 3)
    assert 1 <= len(best_architectures(told, 3)) <= 3


def test_a_trial_that_is_not_there_is_told(both: tuple[SearchResults, SearchResults]) -> None:
    told, _ = both
    with pytest.raises(BadInput, match="test has no trial 999: `nas trials test --namespace default` lists them"):
        told.trial("999")
    with pytest.raises(BadInput, match="test has no trial 0"):
        told.trial("0")


def test_a_controller_that_dies_is_told(controller: ControllerProcess, tmp_path: Path) -> None:
    controller.write_manifest(SPEC)
    controller.start()
    with controller.channel("admin") as channel:
        asked = Controller(rpc.SearchServiceStub(channel), lambda: ControllerUnreachable("the way is blocked"))
        controller.kill()
        with pytest.raises(ControllerUnreachable, match="the way is blocked"):
            asked.summary()


def nothing_to_check() -> None:
    pytest.fail("the controller was silent")


def test_a_watch_tells_each_trial_and_ends_with_the_search(controller: ControllerProcess) -> None:
    controller.write_manifest(SPEC)
    controller.start()
    client = Client(controller)
    client.register(data_shape=SHAPE)
    printed = io.StringIO()

    def train() -> None:
        for number in range(12):
            client.complete(client.lease().assignment.lease, accuracy=0.3 + 0.05 * number)

    search = load_manifest(controller.directory / "search.yaml")
    with controller.channel("admin") as channel:
        asked = Controller(rpc.SearchServiceStub(channel))
        watched = Watched(ElsewhereRun(asked, nothing_to_check), ControllerResults(search, asked), "here")
        worker = threading.Thread(target=train)
        worker.start()
        summary = watch(watched, PlainView(search, "here", Console(file=printed, width=150)))
        worker.join()
    assert summary.state == pb.Summary.SUCCEEDED
    assert summary.trials_finished == 12
    assert "12/12 trial" in printed.getvalue()
    assert "val_accuracy 0.85" in printed.getvalue()
