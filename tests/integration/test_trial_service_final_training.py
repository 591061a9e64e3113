"""The gRPC services in the second stage: assignments, uploads, and what of them is refused."""

import hashlib
import json

import grpc
from nas_api.certificates import Identity
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from tests.integration.controller_process import ControllerProcess
from tests.integration.test_trial_service import code_of
from tests.integration.trial_client import Client

SPEC = """\
  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}
  controller: {parallelism: {batchSize: 2}}
  finalTraining: {epochs: 3, timeout: 1h, maxWeightsSize: 3Mi, grid: {learningRate: [0.1, 0.2]}}
  budget: {maxTrials: 2}"""
DATA = bytes(range(256)) * 5000
Complete = pb.CompleteReply


def finish_search(controller: ControllerProcess, spec: str = SPEC) -> Client:
    controller.write_manifest(spec)
    controller.start()
    client = Client(controller)
    client.register()
    for accuracy in (0.5, 0.7):
        client.complete(client.lease().assignment.lease, accuracy=accuracy)
    return client


def piece(lease: str, offset: int, data: bytes = DATA, worker: str = "w", sha256: str = "") -> pb.UploadRequest:
    return pb.UploadRequest(
        lease=lease,
        worker_id=worker,
        offset=offset,
        data=data[offset : offset + 2**20],
        total_bytes=len(data),
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
    )


def test_weights_are_uploaded_in_pieces_and_kept_across_a_restart(controller: ControllerProcess) -> None:
    client = finish_search(controller)
    assignment = client.lease().assignment
    assert assignment.trial_id == 2
    assert json.loads(assignment.final_training.settings) == {"epochs": 3, "optimizer": {"learningRate": 0.1}}
    assert assignment.final_training.timeout_seconds == 3600
    summary = client.summary()
    assert (summary.state, summary.reason) == (pb.Summary.RUNNING, "FinalTraining")
    assert (summary.final_trainings, summary.final_trainings_finished, summary.trials_leased) == (2, 0, 0)

    assert client.trials.Upload(piece(assignment.lease, 0)).received == 2**20
    controller.kill()
    controller.start()
    client = Client(controller)
    assert client.trials.Upload(piece(assignment.lease, 0)).received == 2**20  # it knows how far it was
    wrong = code_of(lambda: client.complete(assignment.lease, weights_bytes=len(DATA)))
    assert wrong is grpc.StatusCode.FAILED_PRECONDITION
    assert client.trials.Upload(piece(assignment.lease, 2**20)).received == len(DATA)
    assert client.complete(assignment.lease, weights_bytes=len(DATA)) == Complete.ACCEPTED
    assert client.complete(assignment.lease, weights_bytes=len(DATA)) == Complete.DUPLICATE

    second = client.lease().assignment
    measured = [pb.Measurement(step=1, metrics={"val_accuracy": 0.1})]
    offer = pb.UploadRequest(lease=second.lease, worker_id="w", total_bytes=5, sha256="00", measurements=measured)
    assert client.trials.Upload(offer).unneeded
    measured[0].metrics["val_accuracy"] = 0.99
    offer = pb.UploadRequest(lease=second.lease, worker_id="w", total_bytes=5, sha256="00", measurements=measured)
    assert client.trials.Upload(offer) == pb.UploadReply()
    assert client.complete(second.lease, outcome=pb.FAILED, reason="OutOfMemory") == Complete.ACCEPTED
    summary = client.wait_for_summary(lambda summary: summary.state == pb.Summary.SUCCEEDED)
    assert summary.best[0].final_result.training == 1
    assert (summary.final_best.trial_id, summary.final_best.final_result.training) == (2, 1)
    assert summary.trials_finished == 2
    assert client.lease().HasField("retire")


def upload(client: Client, lease: str) -> None:
    for offset in range(0, len(DATA), 2**20):
        client.trials.Upload(piece(lease, offset))


def test_a_late_result_with_weights_is_taken_once_however_often_it_comes(controller: ControllerProcess) -> None:
    client = finish_search(controller, SPEC.replace("batchSize: 2}", "batchSize: 2}, lease: {duration: 2s}"))
    lease = client.lease().assignment.lease
    upload(client, lease)
    client.wait_for_summary(lambda summary: not summary.workers[0].trial_id)  # it has expired

    assert client.complete(lease, weights_bytes=len(DATA)) == Complete.ACCEPTED
    assert client.complete(lease, weights_bytes=len(DATA)) == Complete.DUPLICATE


def test_a_result_with_weights_of_what_another_worker_trains_now_is_fenced(controller: ControllerProcess) -> None:
    client = finish_search(controller)
    lost = client.lease().assignment
    upload(client, lost.lease)
    client.trials.Release(pb.ReleaseRequest(lease=lost.lease, worker_id="w"))
    held = client.lease("another").assignment
    assert held.final_training.training == lost.final_training.training

    assert [client.complete(lost.lease, weights_bytes=len(DATA)) for _ in range(2)] == [Complete.FENCED] * 2
    assert client.complete(held.lease, "another") == Complete.ACCEPTED


def test_what_may_not_be_uploaded_is_refused(controller: ControllerProcess) -> None:
    client = finish_search(controller)
    lease = client.lease().assignment.lease
    too_large = pb.UploadRequest(lease=lease, worker_id="w", data=b"x", total_bytes=2**22, sha256="")
    assert code_of(lambda: client.trials.Upload(too_large)) is grpc.StatusCode.INVALID_ARGUMENT
    long = piece(lease, 0)
    long.data = DATA
    assert code_of(lambda: client.trials.Upload(long)) is grpc.StatusCode.INVALID_ARGUMENT
    assert client.trials.Upload(piece(lease, 0, worker="thief")).abandon
    assert client.trials.Upload(piece("1.1.default.guessed", 0)).abandon
    # What arrives otherwise than it was sent begins anew.
    assert client.trials.Upload(piece(lease, 0, b"abc", sha256="00")).received == 0
    assert client.trials.Upload(piece(lease, 0, b"abc")).received == 3


def test_only_workers_of_its_pool_may_upload(controller: ControllerProcess) -> None:
    client = finish_search(controller)
    lease = client.lease().assignment.lease
    controller.issue("other", Identity(controller.search, "pool", "other"))
    client.trials = rpc.TrialServiceStub(controller.channel("other"))
    assert code_of(lambda: client.trials.Upload(piece(lease, 0))) is grpc.StatusCode.PERMISSION_DENIED
