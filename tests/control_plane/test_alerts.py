"""In a real Prometheus every alert that only an operator can tell fires in its trouble, and clears when that is mended.

Operator and controller are real; the workers are played. Alerts of controllers are in tests/monitoring/test_alerts.py.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nas_api.rpc.trials_pb2_grpc import TrialServiceStub

from tests.control_plane.operator_process import ACCOUNT, OperatorProcess, running_operator
from tests.control_plane.searches import Namespace, digits
from tests.control_plane.test_operator_with_controller import Controller, Worker
from tests.monitoring.pace import quick_rules
from tests.monitoring.prometheus import Alert, Prometheus, Target, needs_prometheus, running_prometheus

pytestmark = needs_prometheus


@pytest.fixture
def operator(space: Namespace, tmp_path: Path) -> Iterator[OperatorProcess]:
    """The operator of that namespace, always on the same port."""
    settings = {"status_seconds": "0", "resync_seconds": "1"}
    with running_operator(space.cluster, tmp_path, space.name, **settings) as operator:
        operator.settings["health_port"] = str(urlsplit(operator.url).port)  # when it is started again
        yield operator


@pytest.fixture
def prometheus(operator: OperatorProcess, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes the operator."""
    target = Target("kubenas-operator", f"{operator.url}/metrics")
    with running_prometheus(tmp_path, [target], [quick_rules(tmp_path)]) as prometheus:
        yield prometheus


@pytest.fixture
def controller(space: Namespace, tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(space, tmp_path)
    yield controller
    controller.stop()


def wait_for_alert(space: Namespace, prometheus: Prometheus, name: str) -> Alert:
    """Waits until this alert fires, once, and no other."""

    def fires() -> Alert | None:
        firing = [alert for alert in prometheus.alerts() if alert.state == "firing"]
        return firing[0] if [alert.name for alert in firing] == [name] else None

    return space.cluster.wait_for(fires, f"{name} to fire", timeout=120)


def wait_for_no_alert(space: Namespace, prometheus: Prometheus) -> None:
    """Waits until no alert fires."""

    def none_fires() -> bool:
        return not [alert for alert in prometheus.alerts() if alert.state == "firing"]

    space.cluster.wait_for(none_fires, "no alert to fire", timeout=120)


def register(space: Namespace, controller: Controller) -> None:
    """The worker of the one simulated pod speaks up. It is taken for alive for the duration of a lease."""
    [pod] = space.running_pods("worker")
    with controller.channel("digits-pool-gpu-tls") as channel:
        Worker(pod, TrialServiceStub(channel)).register()


def test_workers_and_a_controller_that_are_not_there_are_told(
    space: Namespace, controller: Controller, prometheus: Prometheus
) -> None:
    manifest = digits(replicas=1)
    manifest["spec"]["controller"]["lease"] = {"duration": "20s"}
    space.apply(manifest)
    space.wait_for_workers(1)
    controller.start()
    alert = wait_for_alert(space, prometheus, "NASWorkersPending")
    assert alert.labels.items() >= {"namespace": space.name, "search": "digits", "pool": "gpu"}.items()
    assert alert.annotations["description"].startswith("1 of the workers that it should have are not at work.")
    register(space, controller)
    wait_for_no_alert(space, prometheus)

    controller.stop()
    alert = wait_for_alert(space, prometheus, "NASControllerDown")
    assert alert.annotations["summary"] == f"The controller of search {space.name}/digits is down."
    controller.start()
    register(space, controller)
    wait_for_no_alert(space, prometheus)


def test_an_operator_that_may_not_ask_the_api_server_is_told(space: Namespace, prometheus: Prometheus) -> None:
    binding = space.json("get", "rolebinding", ACCOUNT)
    space.kubectl("delete", "rolebinding", ACCOUNT)
    wait_for_alert(space, prometheus, "NASOperatorStalled")
    space.apply({key: value for key, value in binding.items() if key != "metadata"} | {"metadata": {"name": ACCOUNT}})
    wait_for_no_alert(space, prometheus)


def test_an_operator_that_is_gone_is_told(space: Namespace, operator: OperatorProcess, prometheus: Prometheus) -> None:
    operator.kill()
    wait_for_alert(space, prometheus, "NASOperatorDown")
    operator.start()
    wait_for_no_alert(space, prometheus)
