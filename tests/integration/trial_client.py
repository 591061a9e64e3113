"""Who calls a controller in the tests: a worker, and an administrator."""

import itertools
import time
from collections.abc import Callable

from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from tests.integration.controller_process import ControllerProcess

PATIENCE = 180.0  # seconds; only a test that fails waits so long


class Client:
    """Calls a controller as a worker, and as an administrator."""

    def __init__(self, controller: ControllerProcess, worker_certificate: str = "worker") -> None:
        self.channels = [controller.channel(worker_certificate), controller.channel("admin")]
        self.trials = rpc.TrialServiceStub(self.channels[0])
        self.search = rpc.SearchServiceStub(self.channels[1])
        self._requests = itertools.count(1)

    def register(self, worker: str = "w", **fields: object) -> pb.RegisterReply:
        request = pb.RegisterRequest(worker_id=worker, pool="default", device="cpu", **fields)  # type: ignore[arg-type]
        return self.trials.Register(request, timeout=20)

    def lease(self, worker: str = "w", request_id: str = "", wait: float = 10.0) -> pb.LeaseReply:
        request_id = request_id or f"{worker}-{next(self._requests)}"
        request = pb.LeaseRequest(worker_id=worker, request_id=request_id, wait_seconds=wait)
        return self.trials.Lease(request, timeout=30)

    def report(self, lease: str, worker: str = "w") -> int:
        return self.trials.Report(pb.ReportRequest(lease=lease, worker_id=worker), timeout=20).action

    def complete(self, lease: str, worker: str = "w", accuracy: float = 0.5, **fields: object) -> int:
        measurements = [pb.Measurement(step=1, metrics={"val_accuracy": accuracy}, seconds=1.0)]
        fields = {"outcome": pb.SUCCEEDED, "measurements": measurements, **fields}
        request = pb.CompleteRequest(lease=lease, worker_id=worker, **fields)  # type: ignore[arg-type]
        return self.trials.Complete(request, timeout=20).status

    def summary(self) -> pb.Summary:
        return self.search.GetSummary(pb.GetSummaryRequest(), timeout=20)

    def trial(self, number: int) -> pb.Trial:
        request = pb.ListTrialsRequest(trial_id=number, measurements=True)
        return self.search.ListTrials(request, timeout=20).trials[0]

    def wait_for_summary(self, condition: Callable[[pb.Summary], object]) -> pb.Summary:
        deadline = time.monotonic() + PATIENCE
        while not condition(summary := self.summary()):
            assert time.monotonic() < deadline, f"not in {PATIENCE} s: {summary}"
            time.sleep(0.05)
        return summary
