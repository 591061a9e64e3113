"""An operator that ends, well or not, at any moment, and the one that comes after it."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config
from nas_operator.kubernetes_api import KubernetesApi
from nas_operator.names import FIELD_MANAGER

from tests.cluster.cluster import Cluster
from tests.control_plane.operator_process import ACCOUNT, OperatorProcess, running_operator
from tests.control_plane.request_counts import RequestCounts
from tests.control_plane.searches import Namespace, digits

LONG_AGO = "2026-01-01T00:00:00Z"
ALL = "nassearches,naspools,statefulsets,services,jobs,pods,secrets,configmaps,networkpolicies,persistentvolumeclaims"


def wait_until_idle(operator: OperatorProcess) -> None:
    """Waits until there was nothing to do in four reconciliations in a row, all from now on."""
    begin = len(operator.log.read_text())

    def idle() -> bool:
        rounds = [line for line in operator.log.read_text()[begin:].splitlines() if "nas_operator.plan_run" in line]
        return len(rounds) >= 4 and all(line.endswith("nothing to do") for line in rounds[-4:])

    operator.cluster.wait_for(idle, "nothing to do", timeout=120)


def wait_until_all_is_told(space: Namespace) -> None:
    """Waits until the operator has said of the simulated pods all that there is to say.

    Of a controller that cannot be asked it says so half a minute after that has begun, which would be sooner or later
    in the test on one machine or another. So this one began long ago.
    """
    began = {"op": "replace", "path": "/status/containerStatuses/0/state/running/startedAt", "value": LONG_AGO}
    patch = ("patch", "pod", "digits-controller-0", "--subresource=status", "--type=json", "-p", json.dumps([began]))
    space.kubectl(*patch)
    space.cluster.wait_for(space.all_is_told, "word of the workers and of the controller")


def written_by_the_operator(space: Namespace) -> dict[str, Any]:
    """What it has written, and when, by object. What others write meanwhile, as the status of a Job, is not seen."""
    written = {}
    for item in space.json("get", ALL, "--show-managed-fields")["items"]:
        metadata = item["metadata"]
        fields = [entry for entry in metadata.get("managedFields", []) if entry["manager"] == FIELD_MANAGER]
        if fields:
            written[f"{item['kind']}/{metadata['name']}"] = (metadata["uid"], fields)
    return written


def uids(space: Namespace) -> dict[str, str]:
    """Of the Jobs, by name: another uid is another Job."""
    return {name: job["metadata"]["uid"] for name, job in space.made("jobs").items()}


def test_a_restart_with_nothing_to_do_writes_nothing(space: Namespace, operator: OperatorProcess) -> None:
    requests = RequestCounts(space.cluster, space.name, ACCOUNT)
    space.apply(digits(replicas=10))
    space.wait_for_workers(10)
    wait_until_all_is_told(space)
    wait_until_idle(operator)
    count, written = requests.writes(), written_by_the_operator(space)
    assert count > 20  # it counts
    assert len(written) >= 20

    for end in (operator.stop, operator.kill):
        end()
        operator.start()
        wait_until_idle(operator)
        assert written_by_the_operator(space) == written
        assert requests.writes() == count


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_in_the_middle_of_its_work_it_is_followed_by_one_that_goes_on(
    seed: int, space: Namespace, operator: OperatorProcess
) -> None:
    """It is killed when it has made some number of objects, four times."""
    configuration = Configuration()
    load_kube_config(str(space.cluster.kubeconfig), client_configuration=configuration)
    api = KubernetesApi(configuration)

    def made() -> int:
        kinds = ("Secret", "ConfigMap", "NASPool", "StatefulSet", "Job")
        return sum(len(api.list(kind, space.name, "kubenas.dev/search=digits")[0]) for kind in kinds)

    space.apply(digits(replicas=40))
    for instant in sorted(random.Random(seed).sample(range(1, 45), 4)):
        while made() < instant:
            time.sleep(0.005)
        operator.kill()
        operator.start(wait=False)
    jobs = space.wait_for_workers(40)
    assert [job.split("-")[2] for job in sorted(jobs, key=lambda job: int(job.split("-")[2]))] == [
        str(slot) for slot in range(40)
    ]

    space.kubectl("scale", "naspool/digits-gpu", "--replicas=5")
    for left in sorted(random.Random(seed).sample(range(8, 40), 2), reverse=True):
        while len(api.list("Job", space.name, "kubenas.dev/search=digits")[0]) > left:
            time.sleep(0.005)
        operator.kill()
        operator.start(wait=False)
    space.wait_for_workers(5)


def test_nothing_is_done_before_all_is_known(space: Namespace, operator: OperatorProcess) -> None:
    """What happens while there is no operator is seen by the next one: deleted, scaled, edited."""
    space.apply(digits(replicas=6))
    jobs = space.wait_for_workers(6)
    operator.kill()
    space.kubectl("delete", "job", jobs[2])
    space.kubectl("delete", "secret", "digits-controller-tls")
    space.kubectl("scale", "naspool/digits-gpu", "--replicas=4")
    operator.start()
    space.wait_for_workers(4)
    space.cluster.wait_for(lambda: space.json("get", "secret", "digits-controller-tls"), "the Secret")


def test_two_operators_of_two_namespaces_do_not_disturb_each_other(
    cluster: Cluster, space: Namespace, operator: OperatorProcess, tmp_path: Path
) -> None:
    """Two searches of one name, each with an operator that may do nothing in the other's namespace."""
    name = f"{space.name}-2"
    cluster.kubectl("create", "namespace", name)
    other = Namespace(cluster, name)
    other.add_volume()
    (tmp_path / "other").mkdir()
    with running_operator(cluster, tmp_path / "other", name) as second:
        space.apply(digits(replicas=2))
        other.apply(digits(replicas=3))
        space.wait_for_workers(2)
        other.wait_for_workers(3)
        authorities = {where.json("get", "secret", "digits-ca")["data"]["tls.crt"] for where in (space, other)}
        assert len(authorities) == 2
        before = uids(other)
        space.kubectl("delete", "nassearch", "digits")
        cluster.wait_for(lambda: not space.made(), "the objects of the first to be gone")
        assert uids(other) == before
        assert second.stop() == 0
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_one_operator_serves_a_whole_cluster(cluster: Cluster, space: Namespace, tmp_path: Path) -> None:
    name = f"{space.name}-2"
    cluster.kubectl("create", "namespace", name)
    other = Namespace(cluster, name)
    other.add_volume()
    operator = OperatorProcess(cluster, space.name, tmp_path)
    try:
        operator.start()
        space.apply(digits(replicas=2))
        other.apply(digits(replicas=3))
        space.wait_for_workers(2)
        other.wait_for_workers(3)
    finally:
        operator.kill()
        cluster.kubectl("delete", "namespace", name, "--wait=false")
