"""Statuses: what they say, how often they are written, and that a change of a condition is told once."""

from datetime import timedelta

import pytest
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearchStatus
from nas_operator.actions import Emit, WriteStatus
from nas_operator.planning.plan import plan
from nas_operator.settings import Settings

from tests.unit.operator.planning.simulated_cluster import SimulatedCluster


@pytest.fixture
def cluster() -> SimulatedCluster:
    """A search with three workers that train."""
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 3}])
    cluster.settle()
    return cluster


def writes(cluster: SimulatedCluster) -> list[WriteStatus]:
    return [action for action in cluster.plan().actions if isinstance(action, WriteStatus)]


def test_a_search_that_runs_says_so(cluster: SimulatedCluster) -> None:
    status = cluster.search["status"]
    assert {condition["type"]: (condition["status"], condition["reason"]) for condition in status["conditions"]} == {
        "Ready": ("True", "Running"),
        "ControllerAvailable": ("True", "Available"),
        "PoolsReady": ("True", "WorkersReady"),
        "Progressing": ("True", "Searching"),
        "Suspended": ("False", "NotSuspended"),
        "Succeeded": ("False", "NotEnded"),
        "Failed": ("False", "NotEnded"),
    }
    assert status["workers"] == {"wanted": 3, "alive": 3, "busy": 3}
    assert status["observedGeneration"] == 1


def test_a_second_stage_is_told_and_its_workers_stay(cluster: SimulatedCluster) -> None:
    cluster.finish_trials()
    cluster.reason, cluster.final_trainings = "FinalTraining", (1, 4)
    cluster.settle()

    progressing = cluster.condition("Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "FinalTraining")
    assert progressing["message"] == "The search is done; 1 of 4 final trainings are, 3 workers at work."
    assert (cluster.condition("Ready")["status"], cluster.condition("Ready")["reason"]) == ("True", "FinalTraining")
    assert cluster.condition("Succeeded")["status"] == "False"
    assert len(cluster.live_jobs("gpus")) == 3
    assert cluster.search["status"]["finalTraining"] == {"trainings": 4, "finished": 1, "metrics": {}}


def test_the_test_figures_of_the_best_final_training_are_told(cluster: SimulatedCluster) -> None:
    metrics = {"test_accuracy": 0.875, "test_loss": float("nan"), "val_accuracy": 0.9}
    cluster.final_best = pb.Trial(trial_id=7, final_result=pb.FinalResult(training=3, reward=0.7, metrics=metrics))
    cluster.state, cluster.reason, cluster.final_trainings = pb.Summary.SUCCEEDED, "BudgetSpent", (4, 4)
    cluster.finish_trials()
    cluster.settle()

    told = {"trainings": 4, "finished": 4, "bestTrial": 7, "metrics": {"test_accuracy": 0.875}}
    assert cluster.search["status"]["finalTraining"] == told
    cluster.stop_controller()
    cluster.settle()
    assert cluster.search["status"]["finalTraining"] == told


def test_a_pool_says_what_scalers_and_people_ask_for(cluster: SimulatedCluster) -> None:
    status = cluster.pools["digits-gpus"]["status"]
    assert (status["replicas"], status["readyReplicas"]) == (3, 3)
    assert status["selector"] == "kubenas.dev/search=digits,kubenas.dev/pool=gpus"
    cluster.scale("gpus", 1)
    cluster.settle()
    status = cluster.pools["digits-gpus"]["status"]
    assert (status["replicas"], status["readyReplicas"], status["observedGeneration"]) == (3, 3, 2)
    assert cluster.condition("Ready", "gpus")["message"] == "1 worker at work; 2 workers still to go."


def test_counts_and_the_best_ten_come_from_the_controller(cluster: SimulatedCluster) -> None:
    cluster.best = [
        pb.Trial(trial_id=i, reward=1 / i, digest=f"d{i}", parameters=7, finished_at=1e9) for i in range(1, 13)
    ]
    cluster.finish_trials()
    cluster.settle()
    status = NASSearchStatus.model_validate(cluster.search["status"])
    assert status.trials.finished == status.trials.succeeded == 3
    assert [trial.id for trial in status.top_trials] == list(range(1, 11))
    assert status.best_trial is not None
    assert status.best_trial.model_dump() == {
        "id": 1, "reward": 1.0, "digest": "d1", "parameters": 7, "flops": None, "finishedAt": "2001-09-09T01:46:40Z"
    }  # fmt: skip


def test_what_the_controller_has_said_stays_while_it_is_away(cluster: SimulatedCluster) -> None:
    cluster.best = [pb.Trial(trial_id=1, reward=0.5, digest="d")]
    cluster.finish_trials()
    cluster.settle()
    before = cluster.search["status"]
    cluster.stop_controller()
    cluster.halted.add("StatefulSets")
    cluster.settle()
    after = cluster.search["status"]
    assert [after[field] for field in ("trials", "bestTrial", "startedAt")] == [
        before[field] for field in ("trials", "bestTrial", "startedAt")
    ]


def test_a_condition_keeps_the_time_of_its_last_change(cluster: SimulatedCluster) -> None:
    before = cluster.condition("ControllerAvailable")
    cluster.tick(100)
    cluster.edit(budget={"maxTrials": 7})
    cluster.settle()
    after = cluster.condition("ControllerAvailable")
    # It was started anew by the edit, which takes it no time here.
    assert after["observedGeneration"] == 2
    assert after["lastTransitionTime"] == before["lastTransitionTime"]
    cluster.stop_controller()
    cluster.reconcile()
    assert cluster.condition("ControllerAvailable")["lastTransitionTime"] > before["lastTransitionTime"]


def test_numbers_alone_are_written_every_few_seconds_at_most(cluster: SimulatedCluster) -> None:
    cluster.finish_trials()
    cluster.statuses_written["NASSearch/digits"] = cluster.now - timedelta(seconds=4)
    made = cluster.plan()
    assert made.actions == ()
    assert made.again_after <= timedelta(seconds=6)
    cluster.tick(6)
    assert [write.name for write in writes(cluster)] == ["digits"]


def test_a_change_of_a_condition_is_written_at_once(cluster: SimulatedCluster) -> None:
    cluster.statuses_written["NASSearch/digits"] = cluster.now
    cluster.journal_problem = "the disk is full"
    assert [write.name for write in writes(cluster)] == ["digits"]


def test_an_operator_that_has_just_started_writes_what_is_due() -> None:
    cluster = SimulatedCluster(
        Settings(controller_image="c", child_image="w", status_seconds=300), pools=[{"name": "gpus"}]
    )
    cluster.settle()
    cluster.finish_trials()
    assert writes(cluster) == []
    cluster.statuses_written.clear()
    assert len(writes(cluster)) == 1


def test_a_status_that_cannot_be_read_is_written_anew(cluster: SimulatedCluster) -> None:
    good = cluster.search["status"]
    cluster.search["status"] = {"conditions": "none", "trials": -3}
    cluster.pools["digits-gpus"]["status"] = {"conditions": [{}]}
    cluster.settle()
    assert cluster.search["status"]["conditions"][0]["reason"] == good["conditions"][0]["reason"]
    assert cluster.condition("Ready", "gpus")["status"] == "True"


# A controller that was started anew. ------------------------------------------------------------------------------


@pytest.fixture
def restarted(cluster: SimulatedCluster) -> SimulatedCluster:
    """One of the workers was idle, and has not spoken to its controller since that was started anew."""
    cluster.worker("gpus", 0).trial_id = 0
    cluster.halted.add("workers")
    cluster.tick(100)
    cluster.start_controller()
    assert len(cluster.workers) == 2
    return cluster


def test_a_worker_counts_as_being_at_work_while_it_may_not_have_found_its_new_controller_yet(
    restarted: SimulatedCluster,
) -> None:
    restarted.said()
    restarted.tick(59)
    restarted.statuses_written.clear()
    restarted.reconcile()
    assert restarted.condition("Ready", "gpus")["message"] == "3 workers at work."
    assert restarted.condition("Ready")["status"] == "True"
    assert restarted.search["status"]["workers"] == {"wanted": 3, "alive": 3, "busy": 2}
    assert restarted.said() == []


def test_a_worker_that_has_not_found_its_new_controller_within_the_duration_of_a_lease_is_not_at_work(
    restarted: SimulatedCluster,
) -> None:
    restarted.tick(60)
    restarted.reconcile()
    assert restarted.condition("Ready", "gpus")["reason"] == "WorkersStarting"
    assert restarted.condition("Ready", "gpus")["message"] == "2 of 3 workers at work."


def test_a_worker_that_was_made_after_its_controller_is_at_work_when_that_knows_it(restarted: SimulatedCluster) -> None:
    restarted.tick(1)
    restarted.scale("gpus", 4)
    restarted.reconcile()
    restarted.work()
    restarted.reconcile()
    assert restarted.condition("Ready", "gpus")["message"] == "3 of 4 workers at work."


def test_workers_are_not_at_work_before_the_very_first_controller_knows_them() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus"}])
    cluster.halted.update({"StatefulSets", "workers"})
    for _ in range(2):
        cluster.reconcile()
        cluster.work()
    cluster.tick(5)
    cluster.halted.remove("StatefulSets")
    cluster.work()
    cluster.reconcile()
    assert cluster.condition("Ready", "gpus")["message"] == "0 of 1 worker at work."


def test_the_time_of_a_controller_that_does_not_say_how_long_it_runs_counts_for_nothing(
    restarted: SimulatedCluster,
) -> None:
    observed = restarted.observe()
    assert observed.summary is not None
    observed.summary.ClearField("uptime_seconds")
    [ready] = [
        action.status["conditions"][0]
        for action in plan(observed, restarted.settings, restarted.now).actions
        if isinstance(action, WriteStatus) and action.kind == "NASPool"
    ]
    assert ready["reason"] == "WorkersStarting"


# Events. ------------------------------------------------------------------------------------------------------------


def test_a_person_can_follow_a_search_by_its_events() -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 3}])
    cluster.settle()
    assert cluster.said() == ["ControllerStarted", "PoolReady"]
    cluster.scale("gpus", 2)
    cluster.settle()
    assert cluster.said() == ["PoolScaled", "WorkersDraining"]
    cluster.edit(suspend=True)
    cluster.finish_trials()
    cluster.settle()
    cluster.finish_trials()
    cluster.settle()
    assert cluster.said() == ["WorkersDraining", "Suspended"]
    cluster.edit(suspend=False)
    cluster.settle()
    assert cluster.said() == ["Resumed", "PoolReady"]
    cluster.state, cluster.reason, cluster.message = pb.Summary.SUCCEEDED, "TargetReached", "0.99 is reached"
    cluster.settle()
    assert cluster.events[0] == Emit("Normal", "Succeeded", "0.99 is reached")


def test_a_search_that_ends_while_it_is_suspended_is_not_resumed(cluster: SimulatedCluster) -> None:
    cluster.edit(suspend=True)
    cluster.settle()
    cluster.said()
    cluster.state, cluster.reason = pb.Summary.SUCCEEDED, "BudgetSpent"
    cluster.settle()
    assert cluster.said() == ["Succeeded"]


def test_a_restarted_operator_repeats_no_event(cluster: SimulatedCluster) -> None:
    cluster.said()
    cluster.statuses_written.clear()
    assert cluster.plan(pods=False).actions == ()
