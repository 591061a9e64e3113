"""A search from its first plan to its end: what the operator makes, and when it leaves everything alone."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from nas_api.rpc import trials_pb2 as pb
from nas_operator.actions import Apply, CreateAuthority, Emit, IssueCertificate, SetState, WriteStatus
from nas_operator.names import best_name
from nas_operator.planning.plan import plan
from nas_operator.settings import Settings

from tests.unit.operator.planning.simulated_cluster import SETTINGS, SimulatedCluster

GPUS = [{"name": "gpus", "replicas": 3}]


@pytest.fixture
def cluster() -> SimulatedCluster:
    """A search with three workers that train."""
    cluster = SimulatedCluster(pools=GPUS)
    cluster.settle()
    return cluster


def test_a_new_search_gets_all_that_it_needs_and_then_nothing_more() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 3}, {"name": "cpus"}])
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2]
    assert cluster.slots("cpus") == [0]
    assert set(cluster.pools) == {"digits-gpus", "digits-cpus"}
    assert cluster.stateful_set is not None
    assert cluster.stateful_set["spec"]["replicas"] == 1
    assert set(cluster.secrets) == {
        "digits-ca", "digits-controller-tls", "digits-admin-tls", "digits-pool-gpus-tls", "digits-pool-cpus-tls"
    }  # fmt: skip
    made = cluster.plan()
    assert made.actions == ()
    assert not made.look_closer
    assert made.again_after == timedelta(seconds=SETTINGS.poll_seconds)


def test_what_pods_mount_is_there_before_them() -> None:
    cluster = SimulatedCluster(pools=GPUS)
    first = cluster.reconcile().actions
    cluster.work()
    kinds = [
        action.manifest["kind"] if hasattr(action, "manifest") else type(action).__name__
        for action in (*first, *cluster.reconcile().actions)
    ]
    assert [kind for i, kind in enumerate(kinds) if kind not in kinds[:i]] == [
        "CreateAuthority", "IssueCertificate", "ConfigMap", "Service", "NetworkPolicy", "StatefulSet", "NASPool",
        "WriteStatus", "Job", "Emit",
    ]  # fmt: skip


def test_no_certificate_of_a_pool_is_made_before_the_pool_that_it_goes_with() -> None:
    """Wherever the first plan is cut short, a pool that is listed no more takes its certificate with it."""
    first = SimulatedCluster(pools=[{"name": "gpus"}, {"name": "spot"}]).plan().actions
    for done in range(len(first) + 1):
        cluster = SimulatedCluster(pools=[{"name": "gpus"}, {"name": "spot"}])
        cluster.apply(first[:done])
        cluster.edit(pools=[{"name": "gpus"}])
        cluster.settle()
        assert "digits-pool-spot-tls" not in cluster.secrets, done


def test_a_search_that_is_being_deleted_is_left_to_the_garbage_collector(cluster: SimulatedCluster) -> None:
    cluster.search["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.scale("gpus", 8)
    cluster.jobs.popitem()
    assert cluster.plan().actions == ()


def test_a_manifest_that_cannot_be_used_is_told_and_nothing_is_touched(cluster: SimulatedCluster) -> None:
    cluster.edit(pools=[{"name": "gpus", "replicas": -1}], trainr={})
    cluster.jobs.popitem()
    made = cluster.plan()
    assert [type(action) for action in made.actions] == [Emit, WriteStatus]
    cluster.apply(made.actions)
    ready = cluster.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert "spec.pools[0].replicas: Input should be greater than or equal to 0" in ready["message"]
    assert "spec.trainr" in ready["message"]
    assert cluster.condition("ControllerAvailable")["status"] == "True"
    assert cluster.plan().actions == ()
    cluster.edit(pools=GPUS)
    del cluster.search["spec"]["trainr"]
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "Running"


@pytest.mark.parametrize("gone", ["stateful_set", "service"])
def test_what_somebody_deletes_is_made_again(cluster: SimulatedCluster, gone: str) -> None:
    setattr(cluster, gone, None)
    cluster.settle()
    assert getattr(cluster, gone) is not None


@pytest.mark.parametrize("kind", ["secrets", "config_maps", "network_policies", "pools", "jobs"])
def test_whatever_somebody_deletes_is_made_again(cluster: SimulatedCluster, kind: str) -> None:
    objects = getattr(cluster, kind)
    names = set(objects)
    for name in names:
        del objects[name]
        cluster.settle()
        assert set(objects) == names


def test_a_lost_certificate_is_issued_and_a_lost_authority_brings_all_new_ones(cluster: SimulatedCluster) -> None:
    del cluster.secrets["digits-pool-gpus-tls"]
    [action] = [a for a in cluster.plan().actions if isinstance(a, CreateAuthority | IssueCertificate)]
    assert isinstance(action, IssueCertificate)
    assert action.secret == "digits-pool-gpus-tls"
    del cluster.secrets["digits-ca"]
    actions = [a for a in cluster.plan().actions if isinstance(a, CreateAuthority | IssueCertificate)]
    assert [type(a) for a in actions] == [CreateAuthority, IssueCertificate, IssueCertificate, IssueCertificate]


# Images. ------------------------------------------------------------------------------------------------------------


def test_an_upgrade_of_the_operator_changes_nothing_that_runs(cluster: SimulatedCluster) -> None:
    cluster.settings = Settings(controller_image="kubenas/controller:2", child_image="kubenas/child:2")
    assert cluster.plan().actions == ()
    cluster.scale("gpus", 4)
    cluster.settle()
    assert cluster.images("gpus") == ["kubenas/child:1"] * 4
    # The controller keeps its image through an edit that starts it anew.
    cluster.edit(budget={"maxTrials": 5})
    cluster.settle()
    assert cluster.stateful_set is not None
    assert cluster.stateful_set["spec"]["template"]["spec"]["containers"][0]["image"] == "kubenas/controller:1"


def test_images_that_the_manifest_names_win() -> None:
    cluster = SimulatedCluster(
        controller={"image": "mine/controller"},
        trainer={"image": "mine/child"},
        pools=[{"name": "gpus"}, {"name": "tpus", "image": "mine/tpu-child"}],
    )
    cluster.settle()
    assert cluster.stateful_set is not None
    assert cluster.stateful_set["spec"]["template"]["spec"]["containers"][0]["image"] == "mine/controller"
    assert (cluster.images("gpus"), cluster.images("tpus")) == (["mine/child"], ["mine/tpu-child"])


def controller_image(cluster: SimulatedCluster) -> str:
    assert cluster.stateful_set is not None
    return str(cluster.stateful_set["spec"]["template"]["spec"]["containers"][0]["image"])


def test_an_image_of_the_controller_that_is_not_named_any_more_is_undone(cluster: SimulatedCluster) -> None:
    cluster.settings = Settings(controller_image="kubenas/controller:2", child_image="kubenas/child:2")
    cluster.edit(controller={"image": "mine/controller"})
    cluster.settle()
    assert controller_image(cluster) == "mine/controller"
    cluster.edit(controller={})
    cluster.settle()
    assert controller_image(cluster) == "kubenas/controller:1"


def test_a_wrong_image_of_the_operator_is_corrected_by_an_upgrade() -> None:
    cluster = SimulatedCluster(pools=GPUS)
    cluster.halted.add("StatefulSets")
    cluster.settle()
    cluster.settings = Settings(controller_image="kubenas/controller:2", child_image="kubenas/child:2")
    cluster.settle()
    assert controller_image(cluster) == "kubenas/controller:2"
    cluster.halted.clear()
    cluster.settle()
    assert cluster.images("gpus") == ["kubenas/child:2"] * 3


def test_a_wrong_image_of_workers_is_corrected_though_the_controller_has_answered() -> None:
    cluster = SimulatedCluster(pools=GPUS)
    cluster.waiting = {"": ("ErrImagePull", "not found")}
    cluster.settle()
    cluster.settings = Settings(controller_image="kubenas/controller:2", child_image="kubenas/child:2")
    cluster.settle()
    assert controller_image(cluster) == "kubenas/controller:1"
    assert cluster.images("gpus") == ["kubenas/child:2"] * 3


# The journal. -------------------------------------------------------------------------------------------------------


def journal_owners(cluster: SimulatedCluster) -> list[str]:
    assert cluster.journal_claim is not None
    return [owner["uid"] for owner in cluster.journal_claim["metadata"].get("ownerReferences") or ()]


def test_the_journal_goes_with_the_search_as_long_as_its_deletion_policy_says_so(cluster: SimulatedCluster) -> None:
    assert journal_owners(cluster) == []
    assert cluster.journal_claim is not None
    cluster.journal_claim["metadata"]["ownerReferences"] = [{"kind": "Backup", "uid": "theirs"}]
    cluster.edit(deletionPolicy="Delete")
    cluster.settle()
    assert journal_owners(cluster) == ["theirs", "search-uid"]
    cluster.edit(deletionPolicy="Retain")
    cluster.settle()
    assert journal_owners(cluster) == ["theirs"]


@pytest.mark.parametrize(
    "going",
    [{"deletionTimestamp": "2026-01-01T00:00:00Z"}, {"ownerReferences": [{"kind": "NASSearch", "uid": "earlier"}]}],
    ids=["deleted", "of an earlier search"],
)
def test_a_journal_that_is_going_is_let_go(cluster: SimulatedCluster, going: dict[str, Any]) -> None:
    assert cluster.journal_claim is not None
    cluster.journal_claim["metadata"] |= going
    before = journal_owners(cluster)
    cluster.edit(deletionPolicy="Delete")
    cluster.settle()
    assert journal_owners(cluster) == before


# Suspend and resume. ------------------------------------------------------------------------------------------------


def test_a_suspended_search_keeps_its_controller_and_lets_its_workers_finish(cluster: SimulatedCluster) -> None:
    cluster.edit(suspend=True)
    made = cluster.reconcile()
    assert [action.state for action in made.actions if isinstance(action, SetState)] == [pb.Summary.SUSPENDED]
    cluster.settle()
    assert cluster.draining("gpus") == [0, 1, 2]
    assert cluster.condition("Suspended")["reason"] == "Suspending"
    assert not cluster.asked_to_go, "the controller retires them; if the search is resumed in time, they stay"
    cluster.finish_trials()
    cluster.settle()
    assert cluster.jobs == {}
    assert cluster.controller_up
    assert cluster.condition("Suspended")["status"] == "True"
    assert cluster.condition("Ready") | {"lastTransitionTime": ""} == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 2,
        "lastTransitionTime": "",
        "reason": "Suspended",
        "message": "spec.suspend is true. No workers are left.",
    }
    assert cluster.plan().again_after == timedelta(seconds=SETTINGS.resync_seconds)


def test_a_resumed_search_gets_its_workers_back(cluster: SimulatedCluster) -> None:
    cluster.edit(suspend=True)
    cluster.settle()
    cluster.finish_trials()
    cluster.settle()
    cluster.said()
    cluster.edit(suspend=False)
    made = cluster.reconcile()
    assert [action.state for action in made.actions if isinstance(action, SetState)] == [pb.Summary.RUNNING]
    assert cluster.jobs == {}, "a worker that came before the controller goes on would be sent away"
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2]
    assert "Resumed" in cluster.said()


def test_workers_that_had_not_gone_yet_stay_when_a_search_is_resumed(cluster: SimulatedCluster) -> None:
    workers = set(cluster.workers)
    cluster.edit(suspend=True)
    cluster.settle()
    cluster.edit(suspend=False)
    cluster.settle()
    cluster.finish_trials()
    cluster.settle()
    assert set(cluster.workers) == workers
    assert cluster.draining("gpus") == []


def test_a_search_can_begin_suspended() -> None:
    cluster = SimulatedCluster(pools=GPUS, suspend=True)
    cluster.settle()
    assert cluster.controller_up
    assert cluster.jobs == {}
    assert cluster.condition("Suspended")["status"] == "True"


# The end. -----------------------------------------------------------------------------------------------------------


def ended(cluster: SimulatedCluster, state: pb.Summary.State.ValueType = pb.Summary.SUCCEEDED) -> SimulatedCluster:
    cluster.state, cluster.reason, cluster.message = state, "BudgetSpent", "12,800 trials are finished"
    cluster.best = [pb.Trial(trial_id=7, reward=0.75, digest="d", architecture=ARCHITECTURE, state="Succeeded")]
    cluster.finish_trials()
    cluster.settle()
    return cluster


ARCHITECTURE = (
    '{"type":"ConvNet","layers":[{"type":"Convolution","filterHeight":3,"filterWidth":3,"filters":24,'
    '"strideHeight":1,"strideWidth":1,"inputs":[0]}]}'
)


def test_the_architecture_to_take_away_is_the_best_of_the_second_stage(cluster: SimulatedCluster) -> None:
    final = pb.FinalResult(training=3, settings='{"epochs":60}', reward=0.8, metrics={"test_accuracy": 0.875})
    cluster.final_best = pb.Trial(trial_id=5, reward=0.7, architecture=ARCHITECTURE, final_result=final)
    ended(cluster)
    trial = json.loads(cluster.config_maps[best_name("digits")]["data"]["trial.json"])
    assert trial["trial"] == 5
    assert trial["finalTraining"]["metrics"] == {"test_accuracy": 0.875}
    assert cluster.search["status"]["bestTrial"]["id"] == 7


def test_when_a_search_has_succeeded_its_workers_go_and_its_result_stays(cluster: SimulatedCluster) -> None:
    ended(cluster)
    assert cluster.jobs == {}
    assert cluster.controller_up
    assert "architecture.json" in cluster.config_maps[best_name("digits")]["data"]
    succeeded = cluster.condition("Succeeded")
    assert (succeeded["status"], succeeded["reason"]) == ("True", "BudgetSpent")
    assert succeeded["message"] == "12,800 trials are finished"
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.condition("Progressing")["status"] == "False"
    assert cluster.search["status"]["bestTrial"]["id"] == 7
    assert "Succeeded" in cluster.said()
    made = cluster.plan()
    assert made.actions == ()
    assert made.again_after == timedelta(seconds=SETTINGS.resync_seconds)


def test_a_failed_search_is_not_ready_and_says_why(cluster: SimulatedCluster) -> None:
    ended(cluster, pb.Summary.FAILED)
    for type_ in ("Failed", "Ready"):
        assert cluster.condition(type_)["reason"] == "BudgetSpent"
    assert cluster.condition("Failed")["status"] == "True"
    assert cluster.condition("Ready")["status"] == "False"
    assert "Failed" in cluster.said()


def test_the_controller_goes_some_time_after_the_end_and_what_it_said_stays() -> None:
    cluster = SimulatedCluster(pools=GPUS, controller={"ttlAfterFinished": "1h"})
    cluster.settle()
    ended(cluster)
    status = cluster.search["status"]
    cluster.tick(3500)
    assert cluster.plan().actions == ()
    assert cluster.plan().again_after <= timedelta(seconds=100)
    cluster.tick(100)
    cluster.settle()
    assert not cluster.controller_up
    assert cluster.condition("ControllerAvailable")["reason"] == "Stopped"
    assert cluster.condition("Succeeded") in status["conditions"]
    assert cluster.search["status"]["bestTrial"] == status["bestTrial"]
    assert cluster.condition("Ready")["status"] == "True"
    made = cluster.plan()
    assert (made.actions, made.look_closer) == ((), False)


def test_a_controller_stays_past_its_time_until_its_workers_have_gone_and_the_best_is_kept() -> None:
    cluster = SimulatedCluster(pools=GPUS, controller={"ttlAfterFinished": "1s"})
    cluster.settle()
    cluster.state, cluster.reason = pb.Summary.SUCCEEDED, "BudgetSpent"
    cluster.settle()
    assert cluster.controller_up
    assert len(cluster.live_jobs("gpus")) == 3
    cluster.finish_trials()
    cluster.settle()
    assert cluster.jobs == {}
    assert not cluster.controller_up


def test_a_controller_stays_past_its_time_until_the_best_architecture_is_in_the_cluster() -> None:
    cluster = SimulatedCluster(pools=GPUS, controller={"ttlAfterFinished": "1h"})
    cluster.settle()
    ended(cluster)
    cluster.finished = cluster.max_trials
    del cluster.config_maps["digits-best"]
    cluster.stop_controller()
    cluster.halted.add("StatefulSets")
    cluster.tick(7200)
    cluster.settle()
    assert cluster.stateful_set is not None
    assert cluster.stateful_set["spec"]["replicas"] == 1
    cluster.halted.clear()
    cluster.settle()
    assert "digits-best" in cluster.config_maps
    assert cluster.stateful_set["spec"]["replicas"] == 0


def test_a_raised_budget_starts_a_search_that_had_ended_again() -> None:
    cluster = SimulatedCluster(pools=GPUS, budget={"maxTrials": 3}, controller={"ttlAfterFinished": "1h"})
    cluster.settle()
    ended(cluster)
    cluster.tick(7200)
    cluster.settle()
    cluster.edit(budget={"maxTrials": 300})
    cluster.settle()
    assert cluster.controller_up
    assert cluster.slots("gpus") == [0, 1, 2]
    assert cluster.condition("Succeeded")["status"] == "False"
    assert "finishedAt" not in cluster.search["status"]


def test_a_budget_that_is_raised_just_before_the_controller_would_go_is_read_by_it() -> None:
    cluster = SimulatedCluster(pools=GPUS, budget={"maxTrials": 3}, controller={"ttlAfterFinished": "1h"})
    cluster.settle()
    ended(cluster)
    cluster.edit(budget={"maxTrials": 300})
    cluster.reconcile()
    cluster.tick(4000)
    cluster.reconcile()  # the pod that answers has not read it yet
    assert cluster.stateful_set is not None
    assert cluster.stateful_set["spec"]["replicas"] == 1
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2]


def test_any_other_edit_of_a_search_that_has_ended_asks_its_controller_and_lets_it_go_again() -> None:
    cluster = SimulatedCluster(pools=GPUS, budget={"maxTrials": 3}, controller={"ttlAfterFinished": "1h"})
    cluster.settle()
    ended(cluster)
    cluster.tick(7200)
    cluster.settle()
    finished_at = cluster.search["status"]["finishedAt"]
    cluster.edit(pools=[{"name": "gpus", "replicas": 5}])
    cluster.settle()
    assert not cluster.controller_up
    assert cluster.jobs == {}
    assert cluster.condition("Succeeded")["observedGeneration"] == 2
    assert cluster.search["status"]["finishedAt"] == finished_at


def test_a_search_that_has_ended_with_an_architecture_nobody_can_read_has_no_result_but_ends(
    cluster: SimulatedCluster,
) -> None:
    cluster.state, cluster.reason = pb.Summary.SUCCEEDED, "BudgetSpent"
    cluster.best = [pb.Trial(trial_id=7, reward=float("nan"), architecture='{"type": "Quantum"}')]
    cluster.finish_trials()
    cluster.settle()
    assert cluster.condition("Succeeded")["status"] == "True"


# Without a controller. ----------------------------------------------------------------------------------------------


def test_without_an_answer_of_the_controller_pools_are_scaled_all_the_same(cluster: SimulatedCluster) -> None:
    cluster.stop_controller()
    cluster.halted.add("StatefulSets")
    cluster.scale("gpus", 6)
    cluster.settle()
    assert cluster.slots("gpus") == [0, 1, 2, 3, 4, 5]
    assert cluster.condition("Ready", "gpus")["status"] == "True"
    assert cluster.condition("Ready")["reason"] == "Starting"
    made = cluster.plan()
    assert not any(isinstance(action, Apply) for action in made.actions)
    assert made.look_closer


def test_pods_are_listed_rarely_once_it_is_known_what_keeps_workers_from_starting() -> None:
    cluster = SimulatedCluster(pools=GPUS)
    cluster.room = 2
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "Unschedulable"
    assert not cluster.plan(pods=True).look_closer
    for seconds, looks in ((5, False), (29, False), (30, True)):
        observed = replace(cluster.observe(pods=False), pods_listed_at=cluster.now - timedelta(seconds=seconds))
        assert plan(observed, SETTINGS, cluster.now).look_closer is looks
