"""The metrics of a real controller, as a Prometheus reads them."""

import math
import re
import socket
from pathlib import Path

import grpc
import pytest

from tests.integration.controller_process import ControllerProcess
from tests.integration.nas_program import wait_until
from tests.integration.prometheus_text import check_with_promtool, scrape, series, url_in, value
from tests.integration.test_trial_service import code_of
from tests.integration.trial_client import Client

SPEC = """\
  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}
  controller:
    parallelism: {batchSize: 2}
    lease: {duration: 60s}
  pools: [{name: default}, {name: spot}]"""


@pytest.fixture
def measured(controller: ControllerProcess) -> ControllerProcess:
    """A controller that serves its metrics."""
    controller.metrics = "127.0.0.1:0"
    controller.write_manifest(SPEC)
    controller.start()
    return controller


def metrics_of(controller: ControllerProcess) -> str:
    return scrape(url_in(controller.log.read_text()))


def train(client: Client, accuracy: float, **fields: object) -> None:
    client.complete(client.lease().assignment.lease, accuracy=accuracy, train_seconds=3.0, device_seconds=4.0, **fields)


def test_everything_is_there_at_zero_before_anything_has_happened(measured: ControllerProcess) -> None:
    before = metrics_of(measured)
    check_with_promtool(before)
    for pool in ("default", "spot"):
        assert value(before, "nas_trials_finished_total", pool=pool, outcome="succeeded") == 0
        assert value(before, "nas_leases_ended_total", pool=pool, reason="expired") == 0
    assert math.isnan(value(before, "nas_reward_best")), "there is none yet, and 0 would be one"

    assert math.isnan(value(before, "nas_leases_youngest_seconds")), "none is held"

    client = Client(measured)
    client.register()
    train(client, 0.5)
    client.lease()
    after = metrics_of(measured)
    assert value(after, "nas_leases_youngest_seconds") >= 0
    assert series(after) == series(before)


def test_what_workers_do_is_counted(measured: ControllerProcess) -> None:
    client = Client(measured)
    client.register()
    train(client, 0.9)
    train(client, math.nan)
    # Counted when it is durable, a moment after the policy has it.
    wait_until(lambda: value(metrics_of(measured), "nas_policy_updates_total") == 1, "the update is counted")

    text = metrics_of(measured)
    check_with_promtool(text)
    assert value(text, "nas_trials_finished_total", pool="default", outcome="succeeded") == 1
    assert value(text, "nas_trials_finished_total", pool="default", outcome="failed") == 1
    assert value(text, "nas_trial_failures_total", reason="NonFiniteMetric") == 1
    assert value(text, "nas_trial_duration_seconds_sum", pool="default") == 6
    assert value(text, "nas_device_seconds_total", pool="default", stage="search") == 8
    assert value(text, "nas_reward_count") == 1
    assert value(text, "nas_reward_best") == pytest.approx(0.9**3)
    assert value(text, "nas_leases_granted_total", pool="default") == 2
    assert value(text, "nas_leases_ended_total", pool="default", reason="finished") == 2
    assert value(text, "nas_worker_idle_seconds_count", pool="default") == 2
    assert value(text, "nas_journal_commit_duration_seconds_count") > 3
    assert value(text, "nas_rpcs_handled_total", method="Complete", code="OK") == 2
    assert value(text, "nas_rpc_duration_seconds_count", method="Lease") == 2
    assert value(text, "nas_workers", pool="default", state="idle") == 1


def test_calls_that_fail_are_counted_by_their_code(measured: ControllerProcess) -> None:
    client = Client(measured)
    assert code_of(lambda: client.register("")) is grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(lambda: client.complete("1.1.default.unknown")) is grpc.StatusCode.NOT_FOUND

    def counted() -> bool:
        text = metrics_of(measured)
        return all(
            value(text, "nas_rpcs_handled_total", method=method, code=code) == 1
            for method, code in (("Register", "INVALID_ARGUMENT"), ("Complete", "NOT_FOUND"))
        )

    # Whoever called may have the status a moment before the call that sent it ends and is counted.
    wait_until(counted, "each is counted once")


def test_after_a_restart_the_state_of_the_search_is_there_at_once_and_counters_begin_anew(
    measured: ControllerProcess,
) -> None:
    client = Client(measured)
    client.register()
    for accuracy in (0.9, 0.5):
        train(client, accuracy)
    client.wait_for_summary(lambda summary: summary.updates == 1)
    client.lease()
    before = metrics_of(measured)
    measured.kill()
    measured.start()
    after = metrics_of(measured)

    for name in (
        "nas_reward_best",
        "nas_reward_baseline",
        "nas_policy_entropy_nats",
        "nas_policy_gradient_norm",
        "nas_policy_version",
        "nas_search_device_seconds",
    ):
        assert value(after, name) == value(before, name), name
        assert not math.isnan(value(after, name)), name
    assert value(after, "nas_search_trials", state="succeeded") == 2
    assert value(after, "nas_search_trials", state="leased") == 1
    assert value(after, "nas_leases", pool="default", state="alive") == 1
    assert value(after, "nas_controller_starts_total") == 2
    assert value(after, "nas_trials_finished_total") == 0
    assert series(after) == series(before)


def test_eight_hundred_workers_have_as_many_series_as_one(measured: ControllerProcess) -> None:
    client = Client(measured)
    client.register("w-0")
    client.lease("w-0")
    with_one = metrics_of(measured)
    for number in range(1, 800):
        client.register(f"w-{number}")
    for number in range(1, 20):
        client.lease(f"w-{number}")
    with_many = metrics_of(measured)

    assert value(with_many, "nas_workers", pool="default") == 800
    assert value(with_many, "nas_workers", pool="default", state="busy") == 20
    assert series(with_many) == series(with_one)


@pytest.mark.parametrize("address", ["9464", "localhost:port", "localhost:99999", "http://localhost:9464"])
def test_an_address_that_is_none_is_refused(controller: ControllerProcess, address: str) -> None:
    assert refused(controller, address) == (
        f"nas_controller: cannot serve metrics on {address!r}: it must be HOST:PORT, such as 127.0.0.1:9464, or :PORT"
    )


def test_an_address_that_is_taken_or_of_another_machine_is_refused(controller: ControllerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert refused(controller, address) == (
            f"nas_controller: cannot serve metrics on {address}: Address already in use: choose another port"
        )
    assert "cannot serve metrics on 192.0.2.1:9464: " in refused(controller, "192.0.2.1:9464")


def refused(controller: ControllerProcess, address: str) -> str:
    """The last line of a controller whose metrics cannot be served."""
    controller.metrics = address
    controller.write_manifest(SPEC)
    controller.start_without_waiting()
    assert controller.process is not None
    controller.process.join(60)
    assert controller.process.exitcode == 78
    return controller.log.read_text().splitlines()[-1]


def test_all_addresses_of_the_machine_are_served_if_none_is_named(controller: ControllerProcess) -> None:
    controller.metrics = ":0"
    controller.write_manifest(SPEC)
    controller.start()
    port = re.findall(r"metrics on http://localhost:(\d+)/metrics", controller.log.read_text())[-1]
    assert scrape(f"http://127.0.0.1:{port}/metrics")


def test_without_the_option_nothing_is_served(controller: ControllerProcess, tmp_path: Path) -> None:
    controller.write_manifest(SPEC)
    controller.start()
    assert "metrics on" not in controller.log.read_text()
