"""What keeps pods from working: the cause, and the reason and message that a person gets to read.

Texts of the kubelet, the scheduler and the API server are as Kubernetes 1.36 has them.
"""

from datetime import timedelta
from typing import Any

import pytest
from nas_operator.names import controller_name
from nas_operator.observed import Object, Refusal
from nas_operator.planning.diagnosis.problem import MAX_MESSAGE, last_words, shortened
from nas_operator.planning.objects import format_time

from tests.unit.operator.planning.simulated_cluster import SETTINGS, SimulatedCluster, job_of

POOL = {"name": "gpus", "replicas": 2, "resources": {"nvidia.com/gpu": 1, "memory": "16Gi"}}


def waiting_pods() -> SimulatedCluster:
    """A search with two workers whose pods wait."""
    cluster = SimulatedCluster(pools=[POOL])
    cluster.halted.add("kubelets")
    cluster.settle()
    return cluster


def diagnosed(cluster: SimulatedCluster) -> tuple[str, str]:
    """Reason and message of the pool, once it has been looked at closely."""
    cluster.settle()
    ready = cluster.condition("Ready", "gpus")
    assert ready["status"] == "False"
    # The search says the same, and so does an event.
    assert cluster.condition("Ready")["reason"] == cluster.condition("PoolsReady")["reason"] == ready["reason"]
    assert cluster.condition("Ready")["message"] == f"Pool gpus: {ready['message']}"
    assert cluster.said().count(ready["reason"]) == 1
    return ready["reason"], ready["message"]


def unscheduled(message: str, reason: str = "Unschedulable") -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return {"phase": "Pending", "conditions": [condition]}


def container(image: str = "kubenas/child:1", **state: Any) -> Object:
    return {"phase": "Pending", "containerStatuses": [{"name": "worker", "image": image, "state": state}]}


def waits(reason: str, message: str = "") -> Object:
    return container(waiting={"reason": reason, "message": message})


def ended(code: int, message: str = "", reason: str = "Error") -> Object:
    terminated = {"exitCode": code, "message": message, "reason": reason}
    return container(terminated=terminated) | {"phase": "Failed"}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
            "Unschedulable",
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. It asks for nvidia.com/gpu: 1, memory: 16Gi "
            "(spec.pools[].resources): wait for room, add nodes, or correct resources, nodeSelector or tolerations.",
        ),
        (
            unscheduled('0/3 nodes are available: persistentvolumeclaim "images" not found. preemption: not helpful.'),
            "VolumeClaimNotFound",
            "There is no PersistentVolumeClaim images in the namespace. Make it, or correct "
            "spec.trainer.volumes[].claimName.",
        ),
        (
            unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
            "VolumeClaimUnbound",
            "pod has unbound immediate PersistentVolumeClaims. The claim waits for a volume",
        ),
        (unscheduled("", "SchedulingGated"), "Queued", "Waits for its queue to admit it."),
        (
            waits("ErrImagePull", 'failed to pull and unpack image "kubenas/child:1": not found'),
            "ImagePullFailed",
            'The image kubenas/child:1 cannot be pulled: failed to pull and unpack image "kubenas/child:1": not found. '
            "Correct spec.trainer.image or spec.pools[].image",
        ),
        (
            waits("InvalidImageName", 'Failed to apply default image tag "a b": invalid reference format'),
            "ImagePullFailed",
            "invalid reference format. Correct spec.trainer.image",
        ),
        (
            waits("CreateContainerConfigError", 'secret "object-store" not found'),
            "WorkerContainerInvalid",
            'secret "object-store" not found. A Secret of that name is asked for by spec.trainer.environmentSecret.',
        ),
        (
            waits("RunContainerError", 'exec: "python": executable file not found in $PATH'),
            "WorkerNotStarted",
            'exec: "python": executable file not found in $PATH. spec.trainer.image or spec.pools[].image must name an '
            "image that has KubeNAS installed.",
        ),
        (
            ended(137, reason="OOMKilled"),
            "WorkerOutOfMemory",
            "Was killed for taking more than its memory of 16Gi (OOMKilled). Raise memory in spec.pools[].resources.",
        ),
        (
            ended(1, "Traceback (most recent call last):\n  ...\nImportError: No module named 'timm'\n"),
            "WorkerCrashed",
            "Ended with status 1: ImportError: No module named 'timm'. See `kubectl logs digits-gpus-",
        ),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed: no GPU is healthy"},
            "WorkerFailed",
            "UnexpectedAdmissionError: Allocate failed: no GPU is healthy",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_pod_that_does_not_work(status: Object, reason: str, words: str) -> None:
    cluster = waiting_pods()
    for pod in cluster.pods.values():
        pod["status"] = status
    cluster.halted.add("Jobs")
    found, message = diagnosed(cluster)
    assert found == reason
    assert message.startswith("2 of 2 workers: ")
    assert words in message


def test_only_those_that_have_the_problem_are_counted_and_most_of_them_win() -> None:
    cluster = SimulatedCluster(pools=[POOL | {"replicas": 5}])
    cluster.settle()
    pods = list(cluster.pods)
    cluster.halted.add("kubelets")
    statuses = [waits("ErrImagePull", "no"), unscheduled("full"), unscheduled("full")]
    for name, status in zip(pods, statuses, strict=False):
        cluster.workers.pop(name)
        cluster.pods[name]["status"] = status
        cluster.count_running(name)
    reason, message = diagnosed(cluster)
    assert reason == "Unschedulable"
    assert message.startswith("2 of 5 workers: full.")


def warning(kind: str, name: str, reason: str, message: str) -> Object:
    return {"involvedObject": {"kind": kind, "name": name}, "type": "Warning", "reason": reason, "message": message}


def test_when_the_kubelet_only_backs_off_its_event_tells_why_an_image_cannot_be_pulled() -> None:
    cluster = waiting_pods()
    for name, pod in cluster.pods.items():
        pod["status"] = waits("ImagePullBackOff", 'Back-off pulling image "kubenas/child:1"')
        cluster.warnings.append(warning("Pod", name, "Failed", "Failed to pull image: 401 Unauthorized"))
        cluster.warnings.append(warning("Pod", name, "Failed", "Error: ImagePullBackOff"))
    assert "cannot be pulled: Failed to pull image: 401 Unauthorized. Correct" in diagnosed(cluster)[1]


def test_a_volume_that_cannot_be_mounted_is_told_in_the_kubelets_words() -> None:
    cluster = waiting_pods()
    for name, pod in cluster.pods.items():
        pod["status"] = waits("ContainerCreating")
        cluster.warnings.append(warning("Pod", name, "FailedMount", 'MountVolume.SetUp failed: secret "x" not found'))
    reason, message = diagnosed(cluster)
    assert reason == "VolumeNotMounted"
    assert 'secret "x" not found' in message


def test_a_quota_that_lets_a_job_make_no_pod() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.halted.add("Jobs")
    cluster.settle()
    words = 'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1'
    cluster.warnings = [warning("Job", name, "FailedCreate", words) for name in cluster.jobs]
    reason, message = diagnosed(cluster)
    assert reason == "QuotaExceeded"
    assert message.startswith(f"2 of 2 workers: {words}. Raise the namespace's ResourceQuota, or lower spec.pools[]")


def test_a_quota_on_jobs_and_its_end() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.most_jobs = 1
    for _ in range(3):
        cluster.reconcile()
        cluster.work()
    ready = cluster.condition("Ready", "gpus")
    assert ready["reason"] == "QuotaExceeded"
    assert "exceeded quota: gpus, requested: count/jobs.batch=1" in ready["message"]
    cluster.most_jobs = None
    cluster.settle()
    assert cluster.condition("Ready", "gpus")["status"] == "True"


def test_a_worker_that_a_queue_has_not_admitted() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.reconcile()
    cluster.run_stateful_set()
    cluster.reconcile()
    for job in cluster.jobs.values():
        job["spec"] = job["spec"] | {"suspend": True}
    assert diagnosed(cluster) == ("Queued", "2 of 2 workers: Waits for its queue to admit it.")


def test_a_lost_node_is_no_problem_of_the_worker() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.settle()
    cluster.halted.add("kubelets")
    name = next(iter(cluster.workers))
    cluster.end_pod(name, 137)
    cluster.pods[name]["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    cluster.settle()
    assert cluster.condition("Ready", "gpus")["reason"] == "WorkersStarting"


def test_a_worker_that_runs_and_never_registers() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.halted.add("workers")
    cluster.settle()
    assert cluster.condition("Ready", "gpus")["reason"] == "WorkersStarting"
    cluster.tick(600)
    reason, message = diagnosed(cluster)
    assert reason == "WorkersSilent"
    assert "a NetworkPolicy keeps it from the controller. See `kubectl logs job/digits-gpus-0-" in message


def test_what_was_found_lasts_until_pods_are_looked_at_again() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.waiting[""] = ("ErrImagePull", "not found")
    cluster.settle()
    assert cluster.plan(pods=False).actions == ()


@pytest.mark.parametrize("cause", ["image", "room", "quota"])
def test_a_problem_that_goes_is_forgotten(cause: str) -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.waiting = {"": ("ErrImagePull", "not found")} if cause == "image" else {}
    cluster.room = 1 if cause == "room" else None
    cluster.most_jobs = 1 if cause == "quota" else None
    for _ in range(5):
        cluster.reconcile()
        cluster.work()
    assert cluster.condition("Ready", "gpus")["status"] == "False"
    cluster.waiting, cluster.room, cluster.most_jobs = {}, None, None
    cluster.settle()
    assert cluster.condition("Ready")["status"] == "True"
    assert "PoolReady" in cluster.said()


# The controller. ----------------------------------------------------------------------------------------------------


def without_controller(status: Object | None = None) -> SimulatedCluster:
    """A search whose controller's pod does not get ready."""
    cluster = SimulatedCluster(pools=[POOL])
    cluster.halted.add("StatefulSets")
    if status is not None:
        name = f"{controller_name('digits')}-0"
        labels = {"app.kubernetes.io/component": "controller"}
        cluster.pods[name] = {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Running"} | status}
        cluster.halted.add("kubelets")
        cluster.halted.add("workers")
    cluster.settle()
    return cluster


def crash_loop(code: int, message: str, reason: str = "Error") -> Object:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
    last = {"terminated": {"exitCode": code, "message": message, "reason": reason}}
    return {"containerStatuses": [{"name": "controller", "image": "i", "state": state, "lastState": last}]}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (crash_loop(78, "INFO x\nnas_controller: no space\n"), "ControllerConfigurationInvalid", "no space"),
        (
            crash_loop(1, "boom"),
            "ControllerCrashed",
            "Ended with status 1: boom. See `kubectl logs digits-controller-0`.",
        ),
        (crash_loop(137, "", "OOMKilled"), "ControllerOutOfMemory", "Raise memory in spec.controller.resources."),
        (waits("ErrImagePull", "not found"), "ImagePullFailed", "Correct spec.controller.image"),
        (
            unscheduled("pod has unbound immediate PersistentVolumeClaims"),
            "VolumeClaimUnbound",
            "(spec.controller.storage.storageClassName)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_controller_that_does_not_work(status: Object, reason: str, words: str) -> None:
    cluster = without_controller(status)
    for type_ in ("ControllerAvailable", "Ready", "Progressing"):
        condition = cluster.condition(type_)
        assert (condition["status"], condition["reason"]) == ("False", reason)
    assert words in cluster.condition("Ready")["message"]
    assert cluster.said().count(reason) == 1


@pytest.mark.parametrize(
    "waits_for", ["pod has unbound immediate PersistentVolumeClaims", "binding volumes: context deadline exceeded"]
)
def test_a_controller_whose_volume_nobody_provides(waits_for: str) -> None:
    cluster = without_controller(unscheduled(waits_for))
    words = 'storageclass.storage.k8s.io "fast" not found'
    cluster.warnings.append(
        warning("PersistentVolumeClaim", "journal-digits-controller-0", "ProvisioningFailed", words)
    )
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "VolumeClaimUnbound"
    assert f"No volume for the journal (journal-digits-controller-0): {words}." in cluster.condition("Ready")["message"]


def test_a_controller_that_may_have_no_pod() -> None:
    cluster = without_controller()
    words = "create Pod digits-controller-0 failed: exceeded quota: small"
    cluster.warnings.append(warning("StatefulSet", "digits-controller", "FailedCreate", words))
    cluster.settle()
    assert cluster.condition("ControllerAvailable")["reason"] == "QuotaExceeded"
    assert "lower spec.controller.resources" in cluster.condition("Ready")["message"]


def test_what_the_api_server_refuses_to_make_for_the_controller() -> None:
    cluster = without_controller()
    cluster.refusals.append(Refusal("StatefulSet", "digits-controller", {}, "admission webhook denied the request"))
    cluster.apply([action for action in cluster.plan().actions if type(action).__name__ == "WriteStatus"])
    assert cluster.condition("Ready")["reason"] == "ControllerRefused"
    assert (
        "StatefulSet digits-controller: admission webhook denied the request" in cluster.condition("Ready")["message"]
    )


def running_controller(cluster: SimulatedCluster, seconds: float, **more: Any) -> Object:
    started = format_time(cluster.now - timedelta(seconds=seconds))
    state = {"running": {"startedAt": started}}
    return {"containerStatuses": [{"name": "controller", "image": "i", "ready": True, "state": state} | more]}


def test_a_controller_that_runs_and_does_not_answer() -> None:
    cluster = without_controller({})
    cluster.pods["digits-controller-0"]["status"] |= running_controller(cluster, 0)
    cluster.settle(seconds=1)
    assert cluster.condition("Ready")["reason"] == "Starting"
    cluster.tick(30)
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "ControllerUnreachable"
    assert "connection refused. A NetworkPolicy may keep the operator out." in cluster.condition("Ready")["message"]


def test_a_crash_before_the_present_start_is_no_present_trouble() -> None:
    cluster = without_controller({})
    last = {"terminated": {"exitCode": 1, "message": "boom", "reason": "Error"}}
    cluster.pods["digits-controller-0"]["status"] |= running_controller(cluster, 0, lastState=last)
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "Starting"


def lose_node(cluster: SimulatedCluster, pod: str, seconds: float) -> None:
    """The pod's node has not answered for long, and the pod should have been gone for `seconds`."""
    gone_by = format_time(cluster.now - timedelta(seconds=seconds))
    cluster.pods[pod]["metadata"] |= {"deletionTimestamp": gone_by, "namespace": "research"}
    cluster.pods[pod]["spec"] = {"nodeName": "gpu-7"}


def test_a_controller_whose_node_is_lost() -> None:
    cluster = without_controller({})
    lose_node(cluster, "digits-controller-0", 20)
    cluster.settle(seconds=1)
    assert cluster.condition("Ready")["reason"] == "Starting"
    cluster.tick(60)
    cluster.settle()
    ready = cluster.condition("Ready")
    assert ready["reason"] == "NodeLost"
    assert "The node gpu-7 does not say that the pod digits-controller-0 has stopped" in ready["message"]
    assert "`kubectl delete node gpu-7`" in ready["message"]
    assert "`kubectl delete pod digits-controller-0 --namespace research --grace-period=0 --force`" in ready["message"]


def test_a_worker_whose_node_is_lost_is_made_anew() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.settle()
    name = next(iter(cluster.workers))
    before = cluster.jobs[job_of(name)]["metadata"]["uid"]
    cluster.workers.pop(name)
    lose_node(cluster, name, 61)
    owner = {"kind": "Job", "name": job_of(name), "uid": before}
    lost = cluster.pods[name]
    lost["metadata"]["ownerReferences"] = [owner]
    cluster.reconcile()
    cluster.reconcile()
    assert job_of(name) not in cluster.jobs
    assert "NodeLost" in cluster.said()
    cluster.pods[name] = lost  # its node cannot tell that it is gone
    cluster.halted.add("Jobs")
    cluster.settle()
    assert cluster.jobs[job_of(name)]["metadata"]["uid"] != before
    assert "NodeLost" not in cluster.said()


@pytest.mark.parametrize(
    "status",
    [
        None,
        unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        waits("ErrImagePull", "not found"),
        crash_loop(78, "no journal"),
    ],
    ids=["no pod", "no volume", "no image", "crash"],
)
def test_no_workers_are_made_for_a_controller_that_has_never_started(status: Object | None) -> None:
    cluster = without_controller(status)
    assert cluster.jobs == {}
    cluster.pods.clear()
    cluster.halted.clear()
    cluster.settle()
    assert len(cluster.jobs) == 2


def test_workers_are_made_when_the_container_of_the_controller_runs_before_it_is_ready() -> None:
    cluster = without_controller(waits("ContainerCreating"))
    assert cluster.jobs == {}
    made = cluster.plan()
    assert (made.look_closer, made.again_after) == (True, timedelta(seconds=1)), "nobody tells when it runs"
    cluster.pods["digits-controller-0"]["status"] = running_controller(cluster, 0, ready=False)
    cluster.reconcile()
    assert len(cluster.jobs) == 2
    assert cluster.condition("ControllerAvailable")["reason"] == "Starting"
    assert cluster.plan().again_after == timedelta(seconds=SETTINGS.poll_seconds)


def test_a_controller_that_is_known_to_have_a_problem_is_looked_at_no_more_often_than_any_other() -> None:
    cluster = without_controller(waits("ErrImagePull", "not found"))
    assert cluster.plan().again_after == timedelta(seconds=SETTINGS.poll_seconds)


def test_workers_are_made_though_a_controller_that_has_started_cannot_do_so_again() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.settle()
    cluster.stop_controller()
    cluster.halted.add("StatefulSets")
    labels = {"app.kubernetes.io/component": "controller"}
    metadata = {"name": "digits-controller-0", "labels": labels}
    cluster.pods["digits-controller-0"] = {"metadata": metadata, "status": waits("ErrImagePull", "not found")}
    cluster.halted.add("kubelets")
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "ImagePullFailed"
    cluster.scale("gpus", 5)
    cluster.settle()
    assert len(cluster.jobs) == 5


def test_a_full_journal_and_room_again() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.settle()
    cluster.journal_problem = "the disk is full: database or disk is full"
    cluster.settle()
    assert cluster.condition("Ready")["reason"] == "JournalFull"
    assert "the disk is full: database or disk is full. Nothing is lost" in cluster.condition("Ready")["message"]
    cluster.journal_problem = ""
    cluster.settle()
    assert cluster.condition("Ready")["status"] == "True"


# Words. -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        (
            '{"level": "info", "message": "up"}\n{"level": "error", "message": "no data\\nat /data"}\n',
            "no data\nat /data",
        ),
        # The kubelet keeps the last 2,048 bytes.
        ('he end of a long message\\nwith \\"quotes\\""}', 'he end of a long message\nwith "quotes"'),
        ('{"level": "error"}', '{"level": "error"}'),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_the_last_words_of_a_process(log: str, words: str) -> None:
    assert last_words(log) == words


def test_of_a_long_text_both_ends_are_kept() -> None:
    text = "ValueError in task " + "x" * 3000 + " expected 10 classes, found 12"
    short = shortened(text)
    assert len(short) == MAX_MESSAGE
    assert short.startswith("ValueError in task ")
    assert short.endswith(" expected 10 classes, found 12")


def test_long_last_words_leave_room_for_what_is_said_of_them() -> None:
    cluster = SimulatedCluster(pools=[POOL])
    cluster.settle()
    for name in list(cluster.workers):
        cluster.end_pod(name, 78, "no data " + "x" * 2000 + " at /data")
    cluster.settle()
    message = cluster.condition("Ready", "gpus")["message"]
    assert len(message) <= MAX_MESSAGE
    assert message.startswith("2 of 2 workers: no data")
    assert " at /data. Tried again at " in message
