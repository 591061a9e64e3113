"""How many workers a pool has: who decides, which go first, and how long they may take."""

from datetime import timedelta

import pytest
from nas_operator.actions import Annotate, Apply, Delete, DrainWorkers
from nas_operator.names import REPLICAS_ANNOTATION

from tests.unit.operator.planning.simulated_cluster import SETTINGS, SimulatedCluster, slot_of


def started(replicas: int, **pool: object) -> SimulatedCluster:
    """A search with so many workers that train: the higher its slot, the longer a worker has."""
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": replicas, **pool}])
    cluster.settle()
    for slot in range(replicas):
        cluster.worker("gpus", slot).seconds_in_state = 100 + slot
    return cluster


# Who decides. -------------------------------------------------------------------------------------------------------


def test_kubectl_scale_counts() -> None:
    cluster = started(2)
    cluster.scale("gpus", 4)
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2, 3]
    assert "PoolScaled" in cluster.said()


def test_an_edit_of_the_number_in_the_search_counts_from_then_on() -> None:
    cluster = started(2)
    cluster.scale("gpus", 4)
    cluster.settle()
    cluster.edit(pools=[{"name": "gpus", "replicas": 3}])
    cluster.settle()
    assert cluster.pools["digits-gpus"]["spec"]["replicas"] == 3
    assert cluster.pools["digits-gpus"]["metadata"]["annotations"][REPLICAS_ANNOTATION] == "3"
    assert len(cluster.slots("gpus")) == 3
    cluster.scale("gpus", 5)
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2, 3, 4]


def test_another_edit_leaves_what_was_scaled() -> None:
    cluster = started(2)
    cluster.scale("gpus", 4)
    cluster.edit(budget={"maxTrials": 100})
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2, 3]


def test_whoever_scales_at_the_same_moment_is_not_overruled() -> None:
    cluster = started(2)
    cluster.edit(pools=[{"name": "gpus", "replicas": 3}])
    [apply] = [action for action in cluster.plan().actions if isinstance(action, Apply) and _is_pool(action)]
    assert apply.manifest["metadata"]["resourceVersion"] == cluster.pools["digits-gpus"]["metadata"]["resourceVersion"]


def _is_pool(action: Apply) -> bool:
    return bool(action.manifest["kind"] == "NASPool")


def test_a_pool_that_is_listed_no_more_lets_its_workers_finish_and_goes() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 2}, {"name": "cpus"}])
    cluster.settle()
    cluster.edit(pools=[{"name": "cpus"}])
    cluster.settle()
    assert cluster.draining("gpus") == [0, 1]
    assert cluster.condition("Ready", "gpus")["reason"] == "Removed"
    assert "digits-pool-gpus-tls" in cluster.secrets, "its workers need it"
    cluster.finish_trials()
    cluster.settle()
    assert set(cluster.pools) == {"digits-cpus"}
    assert cluster.live_jobs("gpus") == []
    assert "digits-pool-cpus-tls" in cluster.secrets
    assert "digits-pool-gpus-tls" not in cluster.secrets
    assert cluster.slots("cpus") == [0]
    assert cluster.cut_leases == []


def test_a_pool_that_is_listed_again_gets_another_certificate() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus"}, {"name": "cpus"}])
    cluster.settle()
    before = cluster.secrets["digits-pool-gpus-tls"]
    cluster.edit(pools=[{"name": "cpus"}])
    cluster.settle()
    cluster.finish_trials()
    cluster.settle()
    cluster.edit(pools=[{"name": "gpus"}, {"name": "cpus"}])
    cluster.settle()
    assert cluster.slots("gpus") == [0]
    assert cluster.secrets["digits-pool-gpus-tls"] != before


# Growing. -----------------------------------------------------------------------------------------------------------


def test_the_lowest_free_slots_are_filled() -> None:
    cluster = started(4)
    for slot in (1, 2):
        cluster.jobs.pop(cluster.live_jobs("gpus")[slot]["metadata"]["name"]) if slot == 1 else None
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2, 3]
    cluster.scale("gpus", 6)
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2, 3, 4, 5]


def test_a_worker_that_has_ended_well_is_replaced_in_its_slot() -> None:
    cluster = started(3)
    cluster.end_pod(cluster.worker("gpus", 1).worker_id, 0)
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2]
    assert len(cluster.jobs) == 3


# Shrinking. ---------------------------------------------------------------------------------------------------------


def test_workers_that_have_no_pod_yet_go_first_and_at_once() -> None:
    cluster = started(2)
    cluster.room = 2
    cluster.scale("gpus", 4)
    cluster.settle()
    cluster.scale("gpus", 2)
    cluster.reconcile()
    assert cluster.slots("gpus") == [0, 1]
    assert len(cluster.jobs) == 2


def test_then_idle_ones_and_then_those_that_have_trained_for_the_shortest() -> None:
    cluster = started(5)
    cluster.worker("gpus", 3).trial_id = 0
    cluster.scale("gpus", 2)
    cluster.reconcile()
    assert cluster.draining("gpus") == [0, 1, 3]


def test_so_do_those_of_which_a_controller_that_was_started_anew_has_not_heard_yet() -> None:
    cluster = started(5)
    cluster.worker("gpus", 3).trial_id = 0
    cluster.halted.add("workers")
    cluster.tick(1)
    cluster.start_controller()
    cluster.scale("gpus", 3)
    cluster.reconcile()
    assert cluster.draining("gpus") == [0, 3]


def test_a_worker_finishes_what_it_trains_before_it_goes() -> None:
    cluster = started(3)
    cluster.scale("gpus", 1)
    cluster.settle()
    assert cluster.draining("gpus") == [0, 1]
    assert len(cluster.workers) == 3
    assert "WorkersDraining" in cluster.said()
    cluster.finish_trials()
    cluster.settle()
    assert cluster.slots("gpus") == [2]
    assert (len(cluster.jobs), cluster.cut_leases) == (1, [])


def test_the_choice_is_marked_before_the_controller_hears_of_it() -> None:
    cluster = started(2)
    cluster.scale("gpus", 1)
    kinds = [type(action) for action in cluster.plan().actions]
    assert kinds.index(Annotate) < kinds.index(DrainWorkers)


def test_a_controller_that_has_forgotten_whom_it_was_asked_to_retire_is_asked_again() -> None:
    cluster = started(2)
    cluster.scale("gpus", 1)
    cluster.settle()
    cluster.start_controller()
    cluster.settle()
    assert cluster.worker("gpus", 0).draining
    assert not cluster.worker("gpus", 1).draining


def test_a_worker_that_nobody_has_heard_of_yet_is_named_by_its_pod() -> None:
    cluster = started(1)
    cluster.scale("gpus", 2)
    cluster.reconcile()
    [job] = [job["metadata"]["name"] for job in cluster.live_jobs("gpus") if slot_of(job) == 1]
    cluster.make_pod(job)
    [pod] = cluster.pods_of(job)
    cluster.start_pod(pod["metadata"]["name"])
    cluster.worker("gpus", 0).trial_id = 5
    cluster.scale("gpus", 1)
    cluster.reconcile()
    cluster.reconcile()
    assert cluster.asked_to_go == {pod["metadata"]["name"]}


def test_after_its_time_it_is_ended_and_its_architecture_goes_to_another() -> None:
    cluster = started(2, drainTimeout="10m")
    cluster.scale("gpus", 1)
    cluster.settle()
    made = cluster.plan()
    assert made.actions == ()
    assert made.again_after == timedelta(seconds=SETTINGS.poll_seconds)
    cluster.tick(580)
    assert not any(isinstance(action, Delete) for action in cluster.plan().actions)
    assert cluster.plan().again_after < timedelta(seconds=20)
    cluster.tick(20)
    [delete] = [action for action in cluster.plan().actions if isinstance(action, Delete)]
    cluster.apply([delete])
    assert cluster.slots("gpus") == [1]


def test_a_worker_that_is_lost_on_its_way_out_is_not_made_again() -> None:
    cluster = started(2)
    cluster.scale("gpus", 1)
    cluster.settle()
    cluster.lose_pod(cluster.worker("gpus", 0).worker_id)
    cluster.settle()
    assert cluster.slots("gpus") == [1]
    assert len(cluster.jobs) == 1


def test_workers_that_are_on_their_way_out_stay_when_they_are_wanted_again() -> None:
    cluster = started(4)
    cluster.scale("gpus", 1)
    cluster.settle()
    cluster.scale("gpus", 3)
    cluster.reconcile()
    assert len(cluster.slots("gpus")) == 3
    assert len(cluster.jobs) == 4, "their GPUs are not free yet: another Job would only wait"
    # They have been told already, and go after all. Then they are replaced.
    cluster.finish_trials()
    cluster.settle()
    assert len(cluster.slots("gpus")) == 3
    assert len(cluster.workers) == 3


@pytest.mark.parametrize("value", ["", "yesterday", "2026-01-01"])
def test_a_mark_that_somebody_has_spoilt_is_made_again(value: str) -> None:
    cluster = started(2)
    cluster.scale("gpus", 1)
    cluster.settle()
    [draining] = [job for job in cluster.live_jobs("gpus") if slot_of(job) == 0]
    draining["metadata"]["annotations"]["kubenas.dev/draining-since"] = value
    cluster.reconcile()
    assert draining["metadata"]["annotations"]["kubenas.dev/draining-since"].startswith("20")
    assert len(cluster.jobs) == 2


def test_doubles_of_a_slot_are_let_go() -> None:
    """An observation that lags behind can make them."""
    cluster = started(2)
    job = cluster.live_jobs("gpus")[0]
    twin = job["metadata"]["name"].replace("-0-", "-0-0")[:57]
    cluster.jobs[twin] = job | {"metadata": job["metadata"] | {"name": twin, "uid": "twin"}, "status": {"ready": 0}}
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1]
    assert len(cluster.jobs) == 2


def test_the_drain_timeout_of_a_pool_outlives_its_entry_in_the_search() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "drainTimeout": "2h"}, {"name": "spot"}])
    cluster.settle()
    cluster.edit(pools=[{"name": "spot"}])
    cluster.settle()
    cluster.tick(7000)
    cluster.reconcile()
    assert cluster.draining("gpus") == [0]
    cluster.tick(200)
    cluster.settle()
    assert cluster.live_jobs("gpus") == []
