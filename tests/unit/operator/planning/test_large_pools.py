"""Pools of hundreds of workers: what a plan costs grows with them, and not with their square."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from nas_operator.observed import Object
from nas_operator.planning import plan as planning

from tests.unit.operator.planning.simulated_cluster import SimulatedCluster, job_of

State = Callable[[SimulatedCluster], None]


def steps(work: Callable[[], object]) -> int:
    """Lines of Python that `work` executes in the operator: a measure of time that no other process disturbs."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if "nas_operator" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def pool(replicas: int) -> SimulatedCluster:
    return SimulatedCluster(pools=[{"name": "gpus", "replicas": replicas}])


def make(cluster: SimulatedCluster) -> None:
    """The controller runs, and no Jobs are there yet."""
    for action in cluster.plan(pods=False).actions:
        cluster.do(action)
    cluster.run_stateful_set()


def run(cluster: SimulatedCluster) -> None:
    """All workers train."""
    start(cluster)
    for name in list(cluster.pods):
        cluster.register(name)
    for name in list(cluster.workers):
        cluster.ask(name)


def start(cluster: SimulatedCluster) -> None:
    """All pods run, and no worker has registered."""
    make_jobs(cluster)
    for pod in list(cluster.pods):
        cluster.start_pod(pod)


def make_jobs(cluster: SimulatedCluster) -> None:
    """All Jobs have pods, which wait."""
    make(cluster)
    for action in cluster.plan(pods=False).actions:
        cluster.do(action)
    pods: dict[str, list[Object]] = {}
    cluster.pods_of = lambda job_name: pods.get(job_name, [])  # type: ignore[method-assign]  # it would look at them all
    for name in cluster.jobs:
        cluster.make_pod(name)
    for name, pod in cluster.pods.items():
        pods[job_of(name)] = [pod]


def edit(cluster: SimulatedCluster) -> None:
    """All workers train and are of an earlier template."""
    run(cluster)
    cluster.edit(trainer={"image": "mine/child:2"})


def suspend(cluster: SimulatedCluster) -> None:
    """All workers train and should not."""
    run(cluster)
    cluster.edit(suspend=True)


def fail(cluster: SimulatedCluster) -> None:
    """All workers have failed."""
    start(cluster)
    cluster.unusable.add("")
    for name in list(cluster.pods):
        cluster.register(name)


@pytest.mark.parametrize("state", [make, make_jobs, start, run, edit, suspend, fail], ids=lambda state: state.__name__)
def test_a_plan_for_eight_times_the_workers_costs_eight_times_as_much(state: State) -> None:
    assert cost(state, 400) <= 8.5 * cost(state, 50)


def cost(state: State, replicas: int) -> int:
    cluster = pool(replicas)
    state(cluster)
    observed = cluster.observe()
    return steps(lambda: planning.plan(observed, cluster.settings, cluster.now))
