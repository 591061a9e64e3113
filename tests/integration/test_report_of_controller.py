"""The report that is made of what a controller tells is the one that is made of its journal, section by section."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import grpc
import pytest
from nas_api.manifest import load_manifest
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc
from nas_api.spec import NASSearch
from nas_cli.cluster.controller import Controller, TooOld
from nas_cli.cluster.results import ControllerResults
from nas_cli.reporting.material import Material
from nas_cli.reporting.page import render
from nas_cli.reporting.reading import read_material
from nas_cli.results import open_results
from nas_cli.search_results import SearchResults
from nas_controller.equal_rewards import IN_A_ROW
from nas_controller.journal.journal import TrialState
from nas_controller.progress import Verdict

from tests.integration.controller_process import ControllerProcess
from tests.integration.trial_client import Client

TRIALS = IN_A_ROW + 2
SPEC = f"""\
  searchSpace: {{convNet: {{layers: {{initial: 2, max: 2}}}}}}
  controller: {{algorithm: {{type: %s}}, parallelism: {{batchSize: 2}}, duplicates: Train}}
  finalTraining: {{top: 2, epochs: 3, grid: {{learningRate: [0.1, 0.2]}}}}
  budget: {{maxTrials: {TRIALS}}}"""
SHAPE = pb.DataShape(channels=1, height=8, width=8, classes=10)
NOW = 1_700_000_000.0
SECTIONS = ["head", "course", "architectures", "trade-offs", "cost", "manifest"]


def live(controller: ControllerProcess, algorithm: str) -> None:
    """Starts a search and takes it to its end: one trial is given back, one lost, one fails, most earn the same."""
    controller.write_manifest(SPEC % algorithm)
    controller.start()
    client = Client(controller)
    for worker in ("a", "b"):
        client.register(worker, data_shape=SHAPE)
    for lost in (False, True):
        request = pb.ReleaseRequest(lease=client.lease("a").assignment.lease, worker_id="a", reason="x", lost=lost)
        client.trials.Release(request, timeout=20)
    for number in range(TRIALS):
        worker = "ab"[number % 2]
        lease = client.lease(worker).assignment.lease
        if number == 1:
            client.complete(lease, worker, outcome=pb.FAILED, reason="OutOfMemory", message="too large")
        else:
            accuracy = 0.9 if number == 0 else 0.5
            client.complete(lease, worker, accuracy, train_seconds=2.0 + number % 3, device_seconds=1.5)


def train_to_the_end(controller: ControllerProcess) -> None:
    """Does the second stage, of which one training fails."""
    client = Client(controller)
    for number in range(4):
        lease = client.lease("a").assignment
        assert lease.final_training.training
        if number == 2:
            client.complete(lease.lease, "a", outcome=pb.FAILED, reason="NonFiniteMetric", message="val_loss is nan")
        else:
            series = [
                pb.Measurement(step=1, metrics={"val_accuracy": 0.1}, seconds=1.0),
                pb.Measurement(step=2, metrics={"val_accuracy": 0.6, "test_accuracy": 0.1 * number}, seconds=2.0),
            ]
            client.complete(lease.lease, "a", measurements=series, train_seconds=5.0, device_seconds=4.0)
    controller.wait_until_ended()


@contextmanager
def asked(controller: ControllerProcess, **twin: object) -> Iterator[ControllerResults]:
    search = load_manifest(controller.directory / "search.yaml")
    with controller.channel("admin") as channel:
        yield ControllerResults(search, Controller(rpc.SearchServiceStub(channel)), **twin)  # type: ignore[arg-type]


def nothing_left_out(text: str) -> None:
    pytest.fail(text)


def material_of(results: SearchResults) -> Material:
    return replace(read_material(results, 3, NOW, nothing_left_out), where="here")


def sections(material: Material) -> Mapping[str, str]:
    """The page, by the ids of its sections; what is before the first is its head."""
    page = render(material, {"default": 2.5}, "EUR")
    parts = re.split(r'<section aria-labelledby="([a-z-]+)">', page)
    return dict(zip(["head", *parts[1::2]], parts[0::2], strict=True))


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControllerProcess, ControllerProcess]]:
    """A search and its random twin that have ended, with their controllers."""
    directory = tmp_path_factory.mktemp("searches")
    with ExitStack() as stack:
        made = []
        for name, algorithm in (("test", "REINFORCE"), ("test-random", "Random")):
            (directory / name).mkdir()
            made.append(ControllerProcess(directory / name))
            stack.callback(made[-1].end)
            live(made[-1], algorithm)
            train_to_the_end(made[-1])
        yield made[0], made[1]


@pytest.fixture(scope="module")
def both(searches: tuple[ControllerProcess, ControllerProcess]) -> Iterator[tuple[Material, Material]]:
    """What a report is made of, as the controller tells it and as the journal has it."""
    search, twin = searches
    with asked(search, open_twin=lambda: asked(twin)) as told, open_results(search.directory) as kept:
        yield material_of(told), material_of(kept)


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_is_the_same(both: tuple[Material, Material], section: str) -> None:
    told, kept = map(sections, both)
    assert list(told) == SECTIONS
    assert told[section] == kept[section]


def test_each_section_tells_of_what_has_happened(both: tuple[Material, Material]) -> None:
    told = sections(both[0])
    assert f"The search has ended: {TRIALS} trials have finished (budget.maxTrials); final training:" in told["head"]
    assert f"the last {IN_A_ROW} trained architectures" in told["head"]
    assert f"<dt>trials</dt><dd>{TRIALS} of {TRIALS} <small>1 failed" in told["head"]
    assert "random twin: best so far" in told["course"]
    assert "OutOfMemory" in told["course"]
    assert "NonFiniteMetric" not in told["course"]
    assert told["architectures"].count('class="card"') == 3
    assert "Final trainings" in told["architectures"]
    assert 'data-name="trainings" class="number">28<' in told["cost"]
    assert 'data-name="without result" class="number">2 (' in told["cost"]


def test_figures_leases_and_remarks_of_a_search_in_its_second_stage_are_the_same(
    controller: ControllerProcess,
) -> None:
    live(controller, "REINFORCE")
    client = Client(controller)
    client.wait_for_summary(lambda summary: summary.final_trainings == 4 and summary.updates == TRIALS // 2)
    client.lease("b")
    with asked(controller) as told, open_results(controller.directory) as kept:
        assert told.lease_spans() == kept.lease_spans()
        assert [span.ended for span in told.lease_spans()].count("") == 1
        # Of a search that runs the journal has the time up to ten seconds later.
        assert replace(told.progress(), active_seconds=0) == replace(kept.progress(), active_seconds=0)
        assert told.progress().counts[TrialState.FAILED] == 1
        assert told.remarks() == kept.remarks()
        assert told.remarks()
        assert told.verdict() is kept.verdict() is None
        states = [[record.state for record in results.final_trainings()] for results in (told, kept)]
        assert states[0] == states[1] == [TrialState.LEASED] + 3 * [TrialState.PENDING]


def test_a_search_that_failed_has_the_same_verdict(controller: ControllerProcess) -> None:
    controller.write_manifest("  budget: {maxConsecutiveFailures: 2}")
    controller.start()
    client = Client(controller)
    client.register(data_shape=SHAPE)
    for _ in range(2):
        client.complete(client.lease().assignment.lease, outcome=pb.FAILED, reason="TaskRaised", message="no data")
    with asked(controller) as told, open_results(controller.directory) as kept:
        verdict = told.verdict()
        assert isinstance(verdict, Verdict)
        assert (verdict.state, verdict.reason) == ("FAILED", "TooManyFailures")
        assert verdict == kept.verdict()
        assert told.progress().consecutive_failures == 2


def test_leases_and_final_trainings_come_in_pages(searches: tuple[ControllerProcess, ControllerProcess]) -> None:
    client = Client(searches[0])
    leases: list[pb.LeaseSpan] = []
    pages = []
    while page := client.search.ListLeases(
        pb.ListLeasesRequest(after_trial_id=leases[-1].trial_id if leases else 0, limit=5), timeout=20
    ).leases:
        pages.append({lease.trial_id for lease in page})
        leases += page
    assert {len(trials) for trials in pages[:-1]} == {5}
    assert leases == list(client.search.ListLeases(pb.ListLeasesRequest(), timeout=20).leases)
    page = client.search.ListFinalTrainings(pb.ListFinalTrainingsRequest(after_training=1, limit=2), timeout=20)
    assert [training.training for training in page.trainings] == [2, 3]


# A controller of a search that began with an older image. -------------------------------------------------------------


class OlderController(rpc.SearchServiceServicer):
    """Answers what controllers answered before they told of leases."""

    def GetSummary(self, request: pb.GetSummaryRequest, context: grpc.ServicerContext) -> pb.Summary:  # noqa: N802
        best = pb.Trial(
            trial_id=7, state="Succeeded", final_result=pb.FinalResult(training=3, settings="{}", reward=0.5)
        )
        return pb.Summary(final_trainings=4, final_best=best)


@pytest.fixture
def older() -> Iterator[ControllerResults]:
    head = {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "old"}}
    with ExitStack() as stack:
        server = grpc.server(ThreadPoolExecutor(1))
        rpc.add_SearchServiceServicer_to_server(OlderController(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(server.stop, None)
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
        yield ControllerResults(NASSearch.model_validate(head), Controller(rpc.SearchServiceStub(channel)))


def test_of_a_controller_that_is_too_old_there_is_no_report_and_the_error_says_what_to_do(
    older: ControllerResults,
) -> None:
    with pytest.raises(TooOld, match=r"older than this program.*spec\.controller\.image can name a newer one"):
        read_material(older, 3, NOW, nothing_left_out)


def test_what_a_controller_that_is_too_old_can_tell_is_told(older: ControllerResults) -> None:
    assert older.updates() == []
    assert [record.planned.trial for record in older.final_trainings()] == [7]
