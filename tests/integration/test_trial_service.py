"""The gRPC services of a real controller: leases, their rules, who may call, and what is malformed."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from nas_api.certificates import CertificateAuthority, Identity
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from tests.integration.controller_process import ControllerProcess
from tests.integration.trial_client import Client

SPEC = """\
  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}
  controller:
    duplicates: Train
    parallelism: {batchSize: 4}
    lease: {duration: LEASE, maxAttempts: 2}
  budget: {maxTrials: 12}"""

Complete, Report = pb.CompleteReply, pb.ReportReply


def start(controller: ControllerProcess, lease: str = "60s", spec: str = SPEC) -> None:
    controller.write_manifest(spec.replace("LEASE", lease))
    controller.start()


@pytest.fixture
def client(controller: ControllerProcess) -> Iterator[Client]:
    """A client of a controller with leases of a minute."""
    start(controller)
    yield from connected(controller)


@pytest.fixture
def impatient(controller: ControllerProcess) -> Iterator[Client]:
    """A client of a controller with leases of two seconds: longer than calls take on a busy machine."""
    start(controller, lease="2s")
    yield from connected(controller)


def connected(controller: ControllerProcess) -> Iterator[Client]:
    made = Client(controller)
    yield made
    for channel in made.channels:
        channel.close()


def code_of(call) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code


# Leases. --------------------------------------------------------------------------------------------------------------


def test_a_worker_leases_trains_and_completes(client: Client) -> None:
    assert client.register().epoch == 1
    assignment = client.lease().assignment
    assert assignment.trial_id == 1
    assert assignment.attempt == 1
    assert client.report(assignment.lease) == Report.CONTINUE
    assert client.complete(assignment.lease, accuracy=0.5) == Complete.ACCEPTED

    trial = client.trial(1)
    assert trial.state == "Succeeded"
    assert trial.reward == pytest.approx(0.5**3)
    assert client.summary().trials_finished == 1


def test_the_same_request_gets_the_same_lease(client: Client) -> None:
    client.register()
    first = client.lease(request_id="r").assignment

    assert client.lease(request_id="r").assignment == first
    assert client.summary().trials_leased == 1


def test_the_same_request_gets_the_same_lease_after_a_restart_of_the_controller(
    controller: ControllerProcess, client: Client
) -> None:
    client.register()
    first = client.lease(request_id="r").assignment
    controller.kill()
    controller.start()

    again = Client(controller).lease(request_id="r").assignment

    assert again == first


def test_a_lease_of_before_a_restart_completes_after_it(controller: ControllerProcess, client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease
    controller.kill()
    controller.start()

    later = Client(controller)

    assert later.register().epoch == 2
    assert later.report(lease) == Report.CONTINUE
    assert later.complete(lease) == Complete.ACCEPTED


def test_a_worker_in_training_is_known_to_a_controller_that_was_started_anew_before_it_speaks(
    controller: ControllerProcess, client: Client
) -> None:
    client.register()
    held = client.lease().assignment
    controller.kill()
    controller.start()
    later = Client(controller)

    summary = later.summary()

    (worker,) = summary.workers
    assert (worker.worker_id, worker.pool, worker.trial_id, worker.alive) == ("w", "default", held.trial_id, True)
    assert worker.seconds_in_state > summary.uptime_seconds > 0, "it has trained for longer than the controller runs"
    later.search.DrainWorkers(pb.DrainWorkersRequest(now=True), timeout=20)
    assert later.report(held.lease) == Report.RELEASE


def test_a_repeated_complete_is_a_duplicate_and_changes_nothing(client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease
    client.complete(lease, accuracy=0.5)

    assert client.complete(lease, accuracy=0.9) == Complete.DUPLICATE
    assert client.trial(1).reward == pytest.approx(0.5**3)
    assert client.summary().trials_finished == 1


def test_a_complete_repeated_after_a_restart_is_a_duplicate(controller: ControllerProcess, client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease
    client.complete(lease)
    controller.kill()
    controller.start()

    assert Client(controller).complete(lease) == Complete.DUPLICATE


def test_a_lease_that_is_not_renewed_goes_to_another_worker_and_is_fenced(impatient: Client) -> None:
    impatient.register("lost")
    impatient.register("next")
    old = impatient.lease("lost").assignment
    impatient.wait_for_summary(lambda summary: summary.leases_expired == 1)

    new = impatient.lease("next").assignment

    assert new.trial_id == old.trial_id
    assert new.architecture == old.architecture
    assert new.attempt == 2
    assert impatient.report(old.lease, "lost") == Report.ABANDON
    assert impatient.complete(old.lease, "lost", accuracy=0.9) == Complete.FENCED
    assert impatient.complete(new.lease, "next", accuracy=0.5) == Complete.ACCEPTED
    assert impatient.complete(old.lease, "lost", accuracy=0.9) == Complete.FENCED
    assert impatient.trial(new.trial_id).reward == pytest.approx(0.5**3)


def test_a_late_complete_is_accepted_while_its_architecture_waits_still(impatient: Client) -> None:
    impatient.register()
    lease = impatient.lease().assignment.lease
    impatient.wait_for_summary(lambda summary: summary.leases_expired == 1)

    assert impatient.complete(lease, accuracy=0.5) == Complete.ACCEPTED
    assert impatient.complete(lease, accuracy=0.9) == Complete.DUPLICATE
    assert impatient.trial(1).reward == pytest.approx(0.5**3)


def test_a_late_report_takes_the_lease_up_again(impatient: Client) -> None:
    impatient.register()
    lease = impatient.lease().assignment.lease
    impatient.wait_for_summary(lambda summary: summary.leases_expired == 1)

    assert impatient.report(lease) == Report.CONTINUE
    assert impatient.summary().trials_leased == 1


def test_reports_keep_a_lease_alive_beyond_its_duration(impatient: Client) -> None:
    impatient.register()
    lease = impatient.lease().assignment.lease
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        assert impatient.report(lease) == Report.CONTINUE
        time.sleep(0.05)

    assert impatient.summary().leases_expired == 0


def test_an_architecture_that_loses_too_many_workers_has_failed(impatient: Client) -> None:
    impatient.register()
    first = impatient.lease().assignment
    impatient.wait_for_summary(lambda summary: summary.leases_expired == 1)
    assert impatient.lease().assignment.trial_id == first.trial_id
    impatient.wait_for_summary(lambda _: impatient.trial(first.trial_id).state == "Failed")

    assert impatient.trial(first.trial_id).reason == "AttemptsExhausted"


def test_a_released_architecture_goes_out_again_at_once_and_loses_no_attempt(client: Client) -> None:
    client.register()
    first = client.lease().assignment
    client.trials.Release(pb.ReleaseRequest(lease=first.lease, worker_id="w", reason="SIGTERM"), timeout=20)

    again = client.lease().assignment

    assert again.trial_id == first.trial_id
    assert again.attempt == 1
    assert again.lease != first.lease


def test_a_worker_that_asks_while_it_holds_a_lease_was_started_anew_and_has_lost_it(client: Client) -> None:
    client.register()
    first = client.lease().assignment

    again = client.lease().assignment

    assert again.trial_id == first.trial_id
    assert again.attempt == 2
    assert client.complete(first.lease) == Complete.FENCED


def test_leases_of_unknown_tokens_are_told_apart(client: Client) -> None:
    client.register()

    assert client.report("no such lease") == Report.ABANDON
    assert code_of(lambda: client.complete("no such lease")) is grpc.StatusCode.NOT_FOUND


def test_a_lease_is_not_completed_by_another_worker(client: Client) -> None:
    client.register("w")
    client.register("x")
    lease = client.lease("w").assignment.lease

    assert client.complete(lease, "x") == Complete.FENCED
    assert client.complete(lease, "w") == Complete.ACCEPTED


def test_a_failed_architecture_is_a_result(client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease

    client.complete(lease, outcome=pb.FAILED, reason="OutOfMemory", message="24 GiB were not enough", measurements=[])

    trial = client.trial(1)
    assert (trial.state, trial.reason, trial.message) == ("Failed", "OutOfMemory", "24 GiB were not enough")
    assert trial.reward == 0.0


@pytest.mark.parametrize(("accuracy", "reason"), [(float("nan"), "NonFiniteMetric"), (float("inf"), "NonFiniteMetric")])
def test_a_success_without_a_finite_metric_is_a_failure(client: Client, accuracy: float, reason: str) -> None:
    client.register()

    client.complete(client.lease().assignment.lease, accuracy=accuracy)

    assert (client.trial(1).state, client.trial(1).reason) == ("Failed", reason)


def test_a_success_that_reported_nothing_is_a_failure(client: Client) -> None:
    client.register()

    client.complete(client.lease().assignment.lease, measurements=[])

    assert client.trial(1).reason == "NoMetric"


# The search. ----------------------------------------------------------------------------------------------------------


def test_a_spent_budget_retires_the_workers_and_ends_the_search(client: Client) -> None:
    client.register()
    for _ in range(12):
        client.complete(client.lease().assignment.lease)

    assert client.lease().HasField("retire")
    summary = client.wait_for_summary(lambda summary: summary.state == pb.Summary.SUCCEEDED)
    assert (summary.reason, summary.updates) == ("BudgetSpent", 3)


def test_a_search_whose_time_is_over_ends_while_its_trials_are_in_training(controller: ControllerProcess) -> None:
    start(controller, spec=SPEC.replace("maxTrials: 12", "maxDuration: 1s"))
    client = Client(controller)
    client.register()
    held = client.lease().assignment

    summary = client.wait_for_summary(lambda summary: summary.state == pb.Summary.SUCCEEDED)

    assert summary.reason == "DurationSpent"
    assert 1 <= summary.elapsed_seconds < 10
    assert client.report(held.lease) == Report.RELEASE


def test_the_best_trials_come_first(client: Client) -> None:
    client.register()
    for accuracy in (0.2, 0.9, 0.5):
        client.complete(client.lease().assignment.lease, accuracy=accuracy)

    assert [trial.trial_id for trial in client.summary().best] == [2, 3, 1]


def test_trials_are_watched_as_they_finish_until_the_search_has_ended(client: Client) -> None:
    client.register()
    client.complete(client.lease().assignment.lease)
    watch = client.search.WatchTrials(pb.WatchTrialsRequest(), timeout=60)
    assert next(watch).sequence == 1
    for _ in range(11):
        client.complete(client.lease().assignment.lease)

    assert [trial.sequence for trial in watch] == list(range(2, 13))


def test_a_suspended_search_retires_its_workers_and_goes_on_when_resumed(client: Client) -> None:
    client.register()
    held = client.lease().assignment
    client.search.SetState(pb.SetStateRequest(state=pb.Summary.SUSPENDED), timeout=20)

    assert client.report(held.lease) == Report.CONTINUE  # what is in training is finished
    assert client.complete(held.lease) == Complete.ACCEPTED
    assert client.lease().HasField("retire")

    client.search.SetState(pb.SetStateRequest(state=pb.Summary.RUNNING), timeout=20)
    client.register()
    assert client.lease().HasField("assignment")


def test_a_manifest_that_suspends_retires_the_workers_and_one_that_does_not_goes_on(
    controller: ControllerProcess, client: Client
) -> None:
    client.register()
    held = client.lease().assignment
    controller.stop()
    controller.write_manifest(SPEC.replace("LEASE", "60s") + "\n  suspend: true")
    controller.start()
    suspended = Client(controller)

    assert suspended.summary().state == pb.Summary.SUSPENDED
    assert suspended.report(held.lease) == Report.CONTINUE
    assert suspended.complete(held.lease) == Complete.ACCEPTED
    assert suspended.lease().HasField("retire")
    controller.stop()
    controller.write_manifest(SPEC.replace("LEASE", "60s"))
    controller.start()
    resumed = Client(controller)

    assert resumed.summary().state == pb.Summary.RUNNING
    assert resumed.summary().trials_finished == 1
    assert resumed.lease().assignment.trial_id == 2


def test_a_drained_worker_finishes_and_retires_and_others_stay(client: Client) -> None:
    client.register("w")
    client.register("x")
    held = client.lease("w").assignment
    left = client.search.DrainWorkers(pb.DrainWorkersRequest(worker_ids=["w"]), timeout=20).workers
    assert [worker.worker_id for worker in left] == ["w"]

    assert client.report(held.lease) == Report.CONTINUE
    client.complete(held.lease)
    assert client.lease("w").HasField("retire")
    assert client.lease("x").HasField("assignment")


def drain(client: Client, *workers: str, now: bool = False) -> list[str]:
    """Drains workers. Returns those that are there still."""
    request = pb.DrainWorkersRequest(worker_ids=workers, now=now)
    return [worker.worker_id for worker in client.search.DrainWorkers(request, timeout=20).workers]


def test_a_worker_drained_before_it_is_known_goes_when_it_comes(client: Client) -> None:
    assert drain(client, "late", "never") == []
    client.register("late")
    client.register("other")

    assert client.lease("late").HasField("retire")
    assert client.lease("late").HasField("retire")  # whose answer was lost, say
    assert client.lease("unregistered").HasField("assignment")
    assert client.lease("other").HasField("assignment")


def test_a_worker_that_has_not_spoken_since_a_restart_is_drained_when_it_has_finished(
    controller: ControllerProcess, client: Client
) -> None:
    client.register()
    held = client.lease().assignment
    controller.kill()
    controller.start()
    later = Client(controller)

    assert drain(later, "w") == ["w"]
    assert later.report(held.lease) == Report.CONTINUE
    (worker,) = later.summary().workers
    assert worker.draining
    assert later.complete(held.lease) == Complete.ACCEPTED
    assert later.lease("w").HasField("retire")


def test_draining_again_changes_nothing_but_can_ask_for_more(client: Client) -> None:
    client.register()
    held = client.lease().assignment
    assert drain(client, "w") == drain(client, "w") == ["w"]
    assert client.report(held.lease) == Report.CONTINUE
    drain(client, "w", now=True)
    drain(client, "w")

    assert client.report(held.lease) == Report.RELEASE


def test_a_worker_drained_now_gives_its_architecture_back(client: Client) -> None:
    client.register()
    held = client.lease().assignment
    client.search.DrainWorkers(pb.DrainWorkersRequest(now=True), timeout=20)

    assert client.report(held.lease) == Report.RELEASE


def test_the_shape_of_the_data_is_told_once_a_worker_has_registered_and_after_a_restart(
    controller: ControllerProcess, client: Client
) -> None:
    assert not client.summary().HasField("data_shape")
    shape = pb.DataShape(channels=1, height=8, width=9, classes=10)
    client.register(data_shape=shape)
    assert client.summary().data_shape == shape
    client.lease()
    controller.kill()
    controller.start()

    assert Client(controller).summary().data_shape == shape


def test_the_shape_of_the_data_is_remembered_and_must_not_change(client: Client) -> None:
    shape = pb.DataShape(channels=1, height=8, width=8, classes=10)
    client.register(data_shape=shape)
    client.lease()
    assert client.trial(1).parameters > 0

    other = pb.DataShape(channels=3, height=32, width=32, classes=10)
    assert code_of(lambda: client.register("x", data_shape=other)) is grpc.StatusCode.FAILED_PRECONDITION


def test_constraints_without_a_shape_are_refused_at_registration(controller: ControllerProcess) -> None:
    start(controller, spec=SPEC.replace("max: 2}}", "max: 2}, constraints: {maxParameters: 100000}}"))
    client = Client(controller)

    assert code_of(client.register) is grpc.StatusCode.FAILED_PRECONDITION


# Who may call. --------------------------------------------------------------------------------------------------------


def test_without_a_certificate_nobody_gets_in(controller: ControllerProcess, client: Client) -> None:
    authority = (controller.directory / "worker" / "ca.crt").read_bytes()
    with grpc.secure_channel(controller.listen, grpc.ssl_channel_credentials(authority)) as channel:
        register = rpc.TrialServiceStub(channel).Register

        assert code_of(lambda: register(pb.RegisterRequest(), timeout=10)) is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_of_another_search_does_not_get_in(controller: ControllerProcess, client: Client) -> None:
    foreign = CertificateAuthority.create("default/test", timedelta(days=1))
    foreign.issue(Identity("default/test", "pool", "default")).write(controller.directory / "foreign")
    own_ca = (controller.directory / "worker" / "ca.crt").read_bytes()
    (controller.directory / "foreign" / "ca.crt").write_bytes(own_ca)  # it trusts the server, the server not it

    assert code_of(Client(controller, "foreign").register) is grpc.StatusCode.UNAVAILABLE


def test_an_expired_certificate_does_not_get_in(controller: ControllerProcess, client: Client) -> None:
    controller.issue("expired", Identity("default/test", "pool", "default"), timedelta(seconds=-10))

    assert code_of(Client(controller, "expired").register) is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_of_another_pool_does_not_work_for_this_one(
    controller: ControllerProcess, client: Client
) -> None:
    controller.issue("other", Identity("default/test", "pool", "other"))

    assert code_of(Client(controller, "other").register) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("restarted", [False, True])
def test_a_certificate_of_another_pool_cannot_speak_for_a_worker_of_this_one(
    controller: ControllerProcess, client: Client, restarted: bool
) -> None:
    client.register()
    held = client.lease(request_id="r").assignment
    if restarted:
        controller.kill()
        controller.start()
    controller.issue("other", Identity("default/test", "pool", "other"))
    other = Client(controller, "other")
    register = pb.RegisterRequest(worker_id="w", pool="other", device="cpu")
    release = pb.ReleaseRequest(lease=held.lease, worker_id="w")

    for call in (
        lambda: other.trials.Register(register, timeout=20),
        lambda: other.lease(),
        lambda: other.lease(request_id="r"),
        lambda: other.report(held.lease),
        lambda: other.report(held.lease, "x"),
        lambda: other.complete(held.lease),
        lambda: other.complete(held.lease, "x"),
        lambda: other.trials.Release(release, timeout=20),
    ):
        assert code_of(call) is grpc.StatusCode.PERMISSION_DENIED
    assert Client(controller).complete(held.lease) == Complete.ACCEPTED


def test_a_lease_that_only_the_journal_remembers_is_still_its_workers_alone(
    controller: ControllerProcess, impatient: Client
) -> None:
    impatient.register()
    lease = impatient.lease().assignment.lease
    impatient.wait_for_summary(lambda summary: summary.leases_expired == 1)
    controller.kill()
    controller.start()
    later = Client(controller)

    assert later.complete(lease, "x") == Complete.FENCED
    assert later.complete(lease, "w") == Complete.ACCEPTED


def test_a_request_id_is_of_the_worker_that_made_it(client: Client) -> None:
    client.register("w")
    client.register("x")

    assert client.lease("w", "r").assignment.lease != client.lease("x", "r").assignment.lease


def test_the_token_of_a_lease_cannot_be_made_from_another(client: Client) -> None:
    client.register("w")
    client.register("x")
    first, second = client.lease("w").assignment.lease, client.lease("x").assignment.lease
    guessed = second.rpartition(".")[0] + "." + first.rpartition(".")[2]

    assert client.report(guessed, "x") == Report.ABANDON
    assert code_of(lambda: client.complete(guessed, "x")) is grpc.StatusCode.NOT_FOUND


def test_a_worker_may_not_do_what_administrators_do(controller: ControllerProcess, client: Client) -> None:
    with controller.channel("worker") as channel:
        service = rpc.SearchServiceStub(channel)

        for call, request in (
            (service.GetSummary, pb.GetSummaryRequest()),
            (service.ListTrials, pb.ListTrialsRequest()),
            (service.ListUpdates, pb.ListUpdatesRequest()),
            (service.ListLeases, pb.ListLeasesRequest()),
            (service.ListFinalTrainings, pb.ListFinalTrainingsRequest()),
            (service.DrainWorkers, pb.DrainWorkersRequest()),
            (service.SetState, pb.SetStateRequest(state=pb.Summary.FAILED)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(request, timeout=10)  # type: ignore[operator]
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


# What is malformed. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        pb.RegisterRequest(worker_id="", pool="default"),
        pb.RegisterRequest(worker_id="x" * 300, pool="default"),
        pb.RegisterRequest(worker_id="a\nb", pool="default"),
        pb.RegisterRequest(worker_id="w", pool="default", data_shape=pb.DataShape(channels=-1, classes=10)),
    ],
    ids=["no name", "long name", "line break", "negative shape"],
)
def test_a_malformed_registration_is_refused(client: Client, request_: pb.RegisterRequest) -> None:
    assert code_of(lambda: client.trials.Register(request_, timeout=10)) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_complete_without_an_outcome_is_refused_and_the_lease_stays(client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease

    assert code_of(lambda: client.complete(lease, outcome=0)) is grpc.StatusCode.INVALID_ARGUMENT
    assert client.complete(lease) == Complete.ACCEPTED


def test_too_many_measurements_are_refused(client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease
    many = [pb.Measurement(step=i, metrics={"a": 1.0}) for i in range(20_001)]

    assert code_of(lambda: client.complete(lease, measurements=many)) is grpc.StatusCode.INVALID_ARGUMENT


def test_an_oversized_message_is_refused_and_the_lease_stays(client: Client) -> None:
    client.register()
    lease = client.lease().assignment.lease

    refused = code_of(lambda: client.complete(lease, outcome=pb.FAILED, message="x" * 10_000_000))

    assert refused is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.complete(lease) == Complete.ACCEPTED


def test_bytes_that_are_no_message_are_refused(controller: ControllerProcess, client: Client) -> None:
    with controller.channel("worker") as channel:
        call = channel.unary_unary("/kubenas.v1alpha1.TrialService/Complete")

        refused = code_of(lambda: call(b"\xff\xff\xff garbage", timeout=10))

    assert refused in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    client.register()
    assert client.lease().HasField("assignment")


def test_a_wait_that_is_not_a_number_is_no_endless_wait(client: Client) -> None:
    client.register()
    client.register("x")

    assert client.lease(wait=float("-inf")) is not None


# The process. ---------------------------------------------------------------------------------------------------------


def test_a_manifest_that_cannot_be_read_ends_the_controller_with_78_and_words(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    controller.write_manifest("  budget: {maxTrial: 3}")

    with pytest.raises(AssertionError, match="maxTrial"):
        controller.start()
    assert controller.process is not None
    assert controller.process.exitcode == 78


def test_sigterm_ends_the_controller_with_0(controller: ControllerProcess, client: Client) -> None:
    client.register()
    client.lease()

    assert controller.stop() == 0
