"""A change of what workers are made of: they are replaced one after the other, and only by such as work."""

from tests.unit.operator.planning.simulated_cluster import SimulatedCluster

OLD, NEW = "kubenas/child:1", "mine/child:2"


def edited(replicas: int) -> SimulatedCluster:
    """A search with so many workers that train, whose image has just been changed."""
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": replicas}])
    cluster.settle()
    cluster.edit(trainer={"image": NEW})
    return cluster


def test_a_tenth_of_the_pool_is_replaced_at_once_and_at_least_one() -> None:
    for replicas, at_once in ((1, 1), (9, 1), (20, 2), (35, 3)):
        cluster = edited(replicas)
        cluster.settle()
        assert len(cluster.draining("gpus")) == at_once


def test_a_new_worker_comes_when_the_old_one_has_gone() -> None:
    cluster = edited(2)
    cluster.settle()
    [slot] = cluster.draining("gpus")
    assert len(cluster.jobs) == 2
    cluster.finish_trial(cluster.worker("gpus", slot).worker_id)
    cluster.settle()
    assert sorted(cluster.images("gpus")) == sorted([OLD, NEW])
    assert cluster.slots("gpus") + cluster.draining("gpus") == [slot, 1 - slot], "the next one's turn has come"


def test_all_are_replaced_in_the_end_and_no_training_is_cut_short() -> None:
    cluster = edited(5)
    for _ in range(5):
        cluster.settle()
        cluster.finish_trials()
    cluster.settle()
    assert cluster.images("gpus") == [NEW] * 5
    assert cluster.slots("gpus") == [0, 1, 2, 3, 4]
    assert cluster.cut_leases == []


def test_workers_that_wait_for_room_are_replaced_at_once() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 4}])
    cluster.room = 1
    cluster.settle()
    cluster.edit(trainer={"image": NEW})
    cluster.settle()
    assert sorted(cluster.images("gpus")) == sorted([OLD, NEW, NEW, NEW])


def test_a_template_that_does_not_work_costs_one_worker_and_not_the_pool() -> None:
    cluster = edited(5)
    cluster.waiting[""] = ("ImagePullBackOff", "no such image")
    for _ in range(3):
        cluster.settle()
        cluster.finish_trials()
    assert cluster.images("gpus").count(OLD) == 4
    assert cluster.condition("Ready", "gpus")["reason"] == "ImagePullFailed"


def test_a_template_whose_workers_fail_costs_one_worker_and_not_the_pool() -> None:
    cluster = edited(5)
    cluster.unusable.add("")
    for _ in range(3):
        cluster.settle()
        cluster.finish_trials()
    assert cluster.images("gpus").count(OLD) == 4
    assert cluster.condition("Ready", "gpus")["reason"] == "WorkerConfigurationInvalid"


def test_a_pool_that_is_larger_than_the_cluster_is_replaced_as_well() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 6}])
    cluster.room = 3
    cluster.settle()
    cluster.edit(trainer={"image": NEW})
    cluster.settle()
    cluster.lose_pod(next(iter(cluster.workers)))  # a new one takes its place, and shows that it works
    for _ in range(6):
        cluster.settle()
        cluster.finish_trials()
    assert cluster.images("gpus") == [NEW] * 6


def test_a_change_that_is_taken_back_keeps_the_workers() -> None:
    cluster = edited(3)
    cluster.settle()
    workers = set(cluster.workers)
    cluster.edit(trainer={})
    cluster.settle()
    assert set(cluster.workers) == workers
    assert cluster.draining("gpus") == []


def test_a_change_of_one_pool_leaves_the_others() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus"}, {"name": "cpus"}])
    cluster.settle()
    cluster.edit(pools=[{"name": "gpus", "resources": {"cpu": "2"}}, {"name": "cpus"}])
    cluster.settle()
    assert (cluster.draining("gpus"), cluster.draining("cpus")) == ([0], [])
