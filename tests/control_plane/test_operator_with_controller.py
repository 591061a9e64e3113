"""The operator and a real controller: the pod is simulated, the process behind its Service is not.

The workers are played by the tests, with the certificates and under the names of the simulated pods.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from nas_api.certificates import channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc.trials_pb2_grpc import SearchServiceStub, TrialServiceStub

from tests.cluster.waiting import wait_for
from tests.control_plane.custom_resources import Object
from tests.control_plane.operator_process import OperatorProcess
from tests.control_plane.searches import Namespace, digits

PORT = 50051
DIGITS = pb.DataShape(channels=1, height=8, width=8, classes=10)
ANSWER = 60.0  # seconds; only a test that fails waits so long


@dataclass
class Controller:
    """`python -m nas_controller` at the address of the Service, with what the pod would have mounted."""

    space: Namespace
    directory: Path
    process: subprocess.Popen[bytes] | None = None
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = f"digits-controller.{self.space.name}.svc"

    def mount(self) -> None:
        """Writes the Secrets out, as a kubelet does and does again when they change."""
        for secret in ("digits-controller-tls", "digits-admin-tls", "digits-pool-gpu-tls"):
            directory = self.directory / secret
            directory.mkdir(exist_ok=True)
            for name, value in self.space.json("get", "secret", secret)["data"].items():
                (directory / name).write_bytes(base64.b64decode(value))

    def start(self) -> None:
        """Starts it, and waits until the operator says that it can be asked."""
        self.mount()
        manifest = self.space.json("get", "configmap", "digits-manifest")["data"]["search.yaml"]
        (self.directory / "search.yaml").write_text(manifest)
        arguments = ["--manifest", str(self.directory / "search.yaml"), "--state", str(self.directory)]
        arguments += ["--certificates", str(self.directory / "digits-controller-tls"), "--listen", self.address()]
        with (self.directory / "controller.log").open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "nas_controller", *arguments], stderr=log)
        self.wait_until_available()

    def address(self) -> str:
        return f"{self.space.json('get', 'service', 'digits-controller')['spec']['clusterIP']}:{PORT}"

    def wait_until_available(self) -> None:
        def available() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.directory / "controller.log").read_text()
            return bool(self.space.condition("ControllerAvailable").get("status") == "True")

        self.space.cluster.wait_for(available, "the operator to reach the controller", timeout=120)

    def channel(self, secret: str) -> grpc.Channel:
        options = [("grpc.ssl_target_name_override", self.host)]
        return grpc.secure_channel(self.address(), channel_credentials(self.directory / secret), options)

    def summary(self) -> pb.Summary:
        with self.channel("digits-admin-tls") as channel:
            return SearchServiceStub(channel).GetSummary(pb.GetSummaryRequest(), timeout=ANSWER)

    def draining(self) -> list[str]:
        """Workers that are told to go when they ask for work."""
        return [worker.worker_id for worker in self.summary().workers if worker.draining]

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)


@dataclass
class Worker:
    """A worker of the simulated pod of its name."""

    pod: str
    trials: TrialServiceStub
    requests: int = 0

    def register(self) -> None:
        request = pb.RegisterRequest(worker_id=self.pod, pool="gpu", device="cpu", data_shape=DIGITS)
        self.trials.Register(request, timeout=ANSWER)

    def lease(self) -> pb.LeaseReply:
        """Asks until there is an answer. A controller that has just been started imports PyTorch before it has one."""

        def answer() -> pb.LeaseReply | None:
            self.requests += 1
            request = pb.LeaseRequest(worker_id=self.pod, request_id=f"{self.pod}-{self.requests}", wait_seconds=20)
            reply = self.trials.Lease(request, timeout=ANSWER)
            return None if reply.HasField("nothing") else reply

        return wait_for(answer, f"something to train, or to go, for {self.pod}", timeout=240)

    def complete(self, lease: str, accuracy: float, **tested: float) -> None:
        metrics = {"val_accuracy": accuracy, **tested}
        measurements = [pb.Measurement(step=1, metrics=metrics, seconds=1.0)]
        self.trials.Complete(
            pb.CompleteRequest(
                worker_id=self.pod, lease=lease, outcome=pb.SUCCEEDED, measurements=measurements, train_seconds=1.0
            ),
            timeout=ANSWER,
        )


@pytest.fixture
def controller(space: Namespace, tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(space, tmp_path)
    yield controller
    controller.stop()


def search(replicas: int, **more: object) -> Object:
    manifest = digits(replicas, **more)
    manifest["spec"]["pools"][0]["drainTimeout"] = "10m"
    # The workers of these tests say nothing while they train or wait, however long that takes here.
    manifest["spec"]["controller"]["lease"] = {"duration": "1h"}
    return manifest


def end_pod(space: Namespace, pod: str) -> None:
    """Lets a simulated pod end as that of a worker that was told to go does."""
    status = {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}
    space.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


@pytest.mark.usefixtures("operator")
def test_a_search_runs_to_its_end(space: Namespace, controller: Controller) -> None:
    space.apply(search(replicas=2, budget={"maxTrials": 2}))
    space.wait_for_workers(2)
    controller.start()
    pods = space.running_pods("worker")
    with controller.channel("digits-pool-gpu-tls") as channel:
        first, second = (Worker(pod, TrialServiceStub(channel)) for pod in pods)
        for worker in (first, second):
            worker.register()
        space.cluster.wait_for(lambda: space.status()["workers"]["alive"] == 2, "both workers to be known")
        assignment = first.lease().assignment
        space.cluster.wait_for(lambda: space.status()["workers"]["busy"] == 1, "one to be busy")
        assert space.condition("Ready")["status"] == "True"

        # Of a busy and an idle worker the idle one goes.
        space.kubectl("scale", "naspool/digits-gpu", "--replicas=1")
        space.cluster.wait_for(lambda: controller.draining() == [second.pod], "the idle worker to be told to go")
        assert second.lease().HasField("retire")
        end_pod(space, second.pod)
        assert space.wait_for_workers(1) == [first.pod.rpartition("-")[0]]

        first.complete(assignment.lease, accuracy=0.5)
        first.complete(first.lease().assignment.lease, accuracy=0.8)
        space.cluster.wait_for(lambda: space.condition("Succeeded").get("status") == "True", "the end")
        assert first.lease().HasField("retire")
        end_pod(space, first.pod)
    space.wait_for_workers(0)
    status = space.status()
    assert status["trials"]["succeeded"] == 2
    assert status["bestTrial"]["reward"] == pytest.approx(0.8**3)
    best = space.json("get", "configmap", "digits-best")["data"]
    assert json.loads(best["trial.json"])["trial"] == status["bestTrial"]["id"]
    compile(best["model.py"], "model.py", "exec")


@pytest.mark.usefixtures("operator")
def test_a_search_has_succeeded_when_its_second_stage_is_done(space: Namespace, controller: Controller) -> None:
    space.apply(search(replicas=1, budget={"maxTrials": 2}, finalTraining={"top": 2, "epochs": 9}))
    space.wait_for_workers(1)
    controller.start()
    [pod] = space.running_pods("worker")
    with controller.channel("digits-pool-gpu-tls") as channel:
        worker = Worker(pod, TrialServiceStub(channel))
        worker.register()
        for accuracy in (0.5, 0.8):
            worker.complete(worker.lease().assignment.lease, accuracy)
        best = worker.lease().assignment
        assert best.HasField("final_training")
        space.cluster.wait_for(lambda: space.condition("Ready").get("reason") == "FinalTraining", "the second stage")
        assert space.condition("Succeeded")["status"] == "False"
        assert space.status()["finalTraining"]["trainings"] == 2

        worker.complete(best.lease, 0.85, test_accuracy=0.75)
        other = worker.lease().assignment
        worker.complete(other.lease, 0.9, test_accuracy=0.8125)
        space.cluster.wait_for(lambda: space.condition("Succeeded").get("status") == "True", "the end")
        assert worker.lease().HasField("retire")
        end_pod(space, pod)
    space.wait_for_workers(0)
    status = space.status()
    assert status["bestTrial"]["id"] == best.trial_id
    assert status["finalTraining"] == {
        "trainings": 2, "finished": 2, "bestTrial": other.trial_id, "metrics": {"test_accuracy": 0.8125}
    }  # fmt: skip
    trial = json.loads(space.json("get", "configmap", "digits-best")["data"]["trial.json"])
    assert trial["trial"] == other.trial_id
    assert trial["finalTraining"]["settings"] == {"epochs": 9}
    assert "test_accuracy 0.8125" in space.condition("Succeeded")["message"]


@pytest.mark.usefixtures("operator")
def test_the_controller_is_told_to_suspend_and_to_go_on(space: Namespace, controller: Controller) -> None:
    space.apply(search(replicas=1))
    space.wait_for_workers(1)
    controller.start()
    space.apply(search(replicas=1, suspend=True))
    space.cluster.wait_for(lambda: controller.summary().state == pb.Summary.SUSPENDED, "the controller to suspend")
    end_pod(space, *space.running_pods("worker"))
    space.cluster.wait_for(lambda: space.condition("Suspended").get("status") == "True", "the condition")
    space.apply(search(replicas=1, suspend=False))
    space.cluster.wait_for(lambda: controller.summary().state == pb.Summary.RUNNING, "the controller to go on")


@pytest.mark.usefixtures("operator")
def test_a_new_authority_is_followed(space: Namespace, controller: Controller) -> None:
    """All certificates are made anew, and the operator connects anew with its own."""
    space.apply(search(replicas=1))
    space.wait_for_workers(1)
    controller.start()
    before = space.json("get", "secret", "digits-admin-tls")["data"]
    space.kubectl("delete", "secret", "digits-ca")
    space.cluster.wait_for(
        lambda: space.json("get", "secret", "digits-admin-tls")["data"]["ca.crt"] != before["ca.crt"],
        "new certificates",
    )
    space.cluster.wait_for(
        lambda: "refuses the other's certificate" in space.condition("ControllerAvailable").get("message", ""),
        "the operator to say that it cannot speak to the controller",
    )
    controller.mount()
    controller.wait_until_available()


def test_a_controller_that_is_gone_is_told_and_found_again(
    space: Namespace, controller: Controller, operator: OperatorProcess
) -> None:
    space.apply(search(replicas=1))
    space.wait_for_workers(1)
    controller.start()
    controller.stop()

    def cannot_be_reached() -> bool:
        """At first that is taken for a restart, and calls that were under way end in other words."""
        condition = space.condition("ControllerAvailable")
        return condition.get("reason") == "ControllerUnreachable" and "connection refused" in condition["message"]

    space.cluster.wait_for(cannot_be_reached, "the condition", 120)
    controller.start()
    operator.kill()
    operator.start()
    [pod] = space.running_pods("worker")
    with controller.channel("digits-pool-gpu-tls") as channel:
        worker = Worker(pod, TrialServiceStub(channel))
        worker.register()
        worker.lease()
        # That it trains only its controller can have told the new operator.
        space.cluster.wait_for(lambda: space.status()["workers"]["busy"] == 1, "the new operator to ask it")
