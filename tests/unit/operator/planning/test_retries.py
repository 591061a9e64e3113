"""Workers that cannot work: the pool waits and tries one of them again, later and later, until it lives."""

from datetime import timedelta

import pytest
from nas_operator.actions import Create, Delete
from nas_operator.planning.retries import back_off

from tests.unit.operator.planning.simulated_cluster import SimulatedCluster, job_of, slot_of


@pytest.fixture
def failing() -> SimulatedCluster:
    """A search with eight workers, each of which ends at once with status 78."""
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 8}])
    cluster.unusable.add("")
    cluster.settle()
    return cluster


def test_no_new_workers_are_made_and_the_last_words_of_one_are_told(failing: SimulatedCluster) -> None:
    assert failing.live_jobs("gpus") == []
    ready = failing.condition("Ready", "gpus")
    assert (ready["status"], ready["reason"]) == ("False", "WorkerConfigurationInvalid")
    assert ready["message"].startswith("8 of 8 workers: no data at /data/mnist.npz. Tried again at ")
    assert failing.condition("Ready")["message"].startswith("Pool gpus: 8 of 8 workers: no data at /data/mnist.npz.")
    assert failing.said().count("WorkerConfigurationInvalid") == 1
    assert failing.plan().actions == ()


def test_the_one_that_failed_last_is_kept_for_its_words(failing: SimulatedCluster) -> None:
    assert len(failing.jobs) == 1


def test_one_is_tried_again_at_a_time_and_later_and_later(failing: SimulatedCluster) -> None:
    times = []
    for _ in range(8):
        waited = 0.0
        while not (creates := [action for action in failing.reconcile().actions if isinstance(action, Create)]):
            failing.work()
            failing.tick(1)
            waited += 1
        times.append(waited)
        assert len(creates) == 1
    # The first of them is shorter by the time that the fixture has waited.
    assert times[1:] == pytest.approx([60, 120, 240, 480, 600, 600, 600], abs=3)


def test_the_operator_says_when_to_look_again(failing: SimulatedCluster) -> None:
    failing.tick(-5)
    assert failing.plan().again_after <= timedelta(seconds=30)


def test_when_one_lives_all_are_made(failing: SimulatedCluster) -> None:
    failing.said()
    failing.unusable.clear()
    failing.tick(30)
    failing.settle()
    assert len(failing.slots("gpus")) == 8
    assert len(failing.jobs) == 8
    assert failing.condition("Ready", "gpus")["status"] == "True"
    assert "PoolReady" in failing.said()


def test_what_the_user_changes_is_tried_at_once(failing: SimulatedCluster) -> None:
    failing.unusable.clear()
    failing.edit(trainer={"image": "mine/child:2"})
    failing.settle()
    assert failing.images("gpus") == ["mine/child:2"] * 8


def test_the_others_go_on_when_one_fails() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 3}])
    cluster.settle()
    cluster.end_pod(cluster.worker("gpus", 1).worker_id, 78, "CUDA driver version is insufficient")
    cluster.settle()
    assert cluster.slots("gpus") == [0, 2]
    ready = cluster.condition("Ready", "gpus")
    assert ready["message"].startswith("1 of 3 workers: CUDA driver version is insufficient.")
    cluster.tick(30)
    cluster.settle()
    assert len(cluster.slots("gpus")) == 3
    assert cluster.condition("Ready", "gpus")["status"] == "True"


def test_where_others_live_only_the_slots_that_failed_wait() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 8}])
    cluster.settle()
    cluster.end_pod(cluster.worker("gpus", 1).worker_id, 78, "CUDA driver version is insufficient")
    for name in [name for name, job in cluster.jobs.items() if slot_of(job) in (2, 5, 6)]:
        cluster.do(Delete("Job", name, cluster.jobs[name]["metadata"]["uid"]))
    cluster.settle()
    assert len(cluster.slots("gpus")) == 7
    assert cluster.condition("Ready", "gpus")["message"].startswith("1 of 8 workers: CUDA driver version is")


def test_a_slot_that_fails_again_and_again_waits_longer_and_longer_though_others_live() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 3}])
    cluster.settle()
    times = []
    failing = cluster.worker("gpus", 1).worker_id
    for _ in range(4):
        cluster.end_pod(failing, 78, "CUDA driver version is insufficient")
        waited = 0.0
        while not (creates := [action for action in cluster.reconcile().actions if isinstance(action, Create)]):
            cluster.work()
            cluster.tick(1)
            waited += 1
        times.append(waited)
        [made] = creates
        cluster.work()
        [failing] = [id_ for id_ in cluster.workers if job_of(id_) == made.manifest["metadata"]["name"]]
    assert times == pytest.approx([30, 60, 120, 240], abs=3)


def test_a_pool_that_is_scaled_to_what_lives_has_no_problem() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 3}])
    cluster.settle()
    cluster.end_pod(cluster.worker("gpus", 1).worker_id, 78, "CUDA driver version is insufficient")
    cluster.scale("gpus", 2)
    cluster.settle()
    assert cluster.condition("Ready", "gpus")["status"] == "True"
    assert len(cluster.jobs) == 2


@pytest.mark.parametrize(("failures", "seconds"), [(0, 30), (1, 60), (4, 480), (5, 600), (999_999_999, 600)])
def test_back_off(failures: int, seconds: float) -> None:
    assert back_off(failures) == timedelta(seconds=seconds)
