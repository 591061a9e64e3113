"""`TrialService`: what workers call. Every call is unary and idempotent, see trials.proto."""

import asyncio
import logging
import math
import time
from typing import Any

import grpc
from grpc import aio
from nas_api.certificates import Identity
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from nas_controller import leases
from nas_controller.engine import Engine
from nas_controller.leases import Ending, Grant
from nas_controller.seeding import derived_seed
from nas_controller.service.authorization import authorize_worker
from nas_controller.service.coordinator import Coordinator, Worker, log_fields
from nas_controller.service.messages import (
    MalformedError,
    check_name,
    check_upload,
    measurements_of,
    result_of,
    shape_of,
)
from nas_controller.weight_store import WeightStore

logger = logging.getLogger(__name__)

Context = aio.ServicerContext[Any, Any]

# The longest that a Lease call is held. Load balancers and NATs drop connections that are silent for longer.
_MAX_WAIT = 60.0
# With early stopping: between two reports of a worker, and of all workers together.
_MIN_REPORT_SECONDS = 0.1
_REPORTS_PER_SECOND = 500


class TrialService(rpc.TrialServiceServicer):
    """Hands out architectures and takes their results."""

    def __init__(self, coordinator: Coordinator, weights: WeightStore) -> None:
        self._coordinator = coordinator
        self._weights = weights
        self._verifying: set[str] = set()  # tokens of leases whose upload is being made durable

    @property
    def _engine(self) -> Engine:
        return self._coordinator.engine

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterReply:  # noqa: N802
        """Makes a worker known."""
        await self._authorize(context, request.worker_id, pool=request.pool)
        try:
            name, pool = check_name("worker_id", request.worker_id), check_name("pool", request.pool)
            shape = shape_of(request)
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError from error
        try:
            if shape is not None:
                self._engine.set_data_shape(shape)
        except ValueError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        if self._engine.needs_data_shape and self._engine.data_shape is None:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                "searchSpace.convNet.constraints need the shape of the data, and the task does not tell it: "
                "set data_shape on your task",
            )
        self._coordinator.register(name, pool, request.device[:253])
        duration = self._engine.leases.duration
        return pb.RegisterReply(
            epoch=self._engine.epoch,
            lease_seconds=duration,
            heartbeat_seconds=duration / 4,
            report_seconds=min(duration / 4, self._report_seconds()),
        )

    async def Lease(self, request: pb.LeaseRequest, context: Context) -> pb.LeaseReply:  # noqa: N802
        """An architecture to train, as soon as there is one."""
        identity = await self._authorize(context, request.worker_id)
        try:
            name = check_name("worker_id", request.worker_id)
            request_id = check_name("request_id", request.request_id)
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError from error
        # After a restart of the controller workers go on without registering again.
        worker = self._coordinator.see(name) or self._coordinator.register(name, identity.pool, "")
        if self._engine.leases.of_request(name, request_id) is None:
            reason = self._coordinator.retirement(worker)
            if reason is not None:
                return self._retire(worker, reason)
        wait = request.wait_seconds if math.isfinite(request.wait_seconds) else _MAX_WAIT
        grant = await self._coordinator.lease(worker, request_id, min(max(0.0, wait), _MAX_WAIT))
        if grant is None:
            reason = self._coordinator.retirement(worker)
            return self._retire(worker, reason) if reason else pb.LeaseReply(nothing=pb.Nothing(reason="NonePending"))
        await self._coordinator.commits.wrap(grant.durable)
        self._engine.leases.renew(grant.lease, time.monotonic())  # from now on its worker knows of it
        return pb.LeaseReply(assignment=self._assignment(grant))

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportReply:  # noqa: N802
        """Renews a lease."""
        identity = await self._authorize(context, request.worker_id, request.lease)
        worker = self._coordinator.see(request.worker_id)
        try:
            measurements = measurements_of(request.measurements)
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError from error
        lease = self._engine.leases.get(request.lease) or self._engine.revive(request.lease, request.worker_id)
        if lease is None or lease.worker != request.worker_id:
            return pb.ReportReply(action=pb.ReportReply.ABANDON)
        if worker is None:  # the controller was started anew: the worker registers when it has trained
            worker = self._coordinator.register(lease.worker, identity.pool, "")
        self._coordinator.renew(lease)
        if not self._engine.wants(lease) or worker.release_now:
            return pb.ReportReply(action=pb.ReportReply.RELEASE)
        stops, durable = self._engine.report(lease, measurements)
        if measurements:
            await self._coordinator.commits.wrap(durable)
        return pb.ReportReply(action=pb.ReportReply.STOP_EARLY if stops else pb.ReportReply.CONTINUE)

    async def Upload(self, request: pb.UploadRequest, context: Context) -> pb.UploadReply:  # noqa: N802
        """Takes a piece of what a final training leaves."""
        await self._authorize(context, request.worker_id, request.lease)
        self._coordinator.see(request.worker_id)
        stage = self._engine.final_stage
        try:
            check_upload(request, stage.max_weights_bytes())
            measurements = measurements_of(request.measurements)
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError from error
        lease = self._engine.leases.get(request.lease) or self._engine.revive(request.lease, request.worker_id)
        if lease is None or lease.worker != request.worker_id or not lease.training or not self._engine.wants(lease):
            return pb.UploadReply(abandon=True)
        self._coordinator.renew(lease)
        if measurements and not self._engine.final_trainings.needs_weights(lease, measurements):
            return pb.UploadReply(unneeded=True)
        if request.lease in self._verifying:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "what was uploaded is being made durable: try again")
        try:
            received = self._weights.receive(request.lease, request.offset, request.data, request.total_bytes)
            if received == request.total_bytes:
                self._verifying.add(request.lease)
                try:
                    sound = await asyncio.to_thread(
                        self._weights.verify, request.lease, request.total_bytes, request.sha256
                    )
                finally:
                    self._verifying.discard(request.lease)
                received = received if sound else 0
        except OSError as error:
            # It may be mended while nobody looks: the worker tries again.
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the weights cannot be written: {error.strerror}")
            raise AssertionError from error
        return pb.UploadReply(received=received)

    async def Complete(self, request: pb.CompleteRequest, context: Context) -> pb.CompleteReply:  # noqa: N802
        """Takes the result of a lease."""
        await self._authorize(context, request.worker_id, request.lease)
        self._coordinator.see(request.worker_id)
        try:
            result = result_of(request)
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError from error
        held = self._engine.leases.get(request.lease)
        lease, finished = (held, False) if held else self._ended(request.lease)
        if lease is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no lease {request.lease[:80]!r} was given by this search")
            raise AssertionError
        if finished:
            await self._coordinator.commits.wrap(self._engine.journal.write())  # until the first one is durable
            return pb.CompleteReply(status=pb.CompleteReply.DUPLICATE)
        awaited = lease.training and lease.worker == request.worker_id and self._engine.final_trainings.awaits(lease)
        if awaited and result.weights_bytes and result.weights_bytes != self._weights.size(request.lease):
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, f"{result.weights_bytes} bytes of weights were not uploaded"
            )
        try:
            durable = self._engine.complete(lease, result) if lease.worker == request.worker_id else None
        except OSError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the weights cannot be kept: {error.strerror}")
            raise AssertionError from error
        if durable is None:
            logger.warning(
                "a result of worker %s for trial %d came when another had it", request.worker_id, lease.trial,
                extra=log_fields(lease),
            )  # fmt: skip
            return pb.CompleteReply(status=pb.CompleteReply.FENCED)
        self._coordinator.completed(lease.worker)
        await self._coordinator.commits.wrap(durable)
        await self._coordinator.announce()
        return pb.CompleteReply(status=pb.CompleteReply.ACCEPTED)

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseReply:  # noqa: N802
        """Takes an architecture back."""
        await self._authorize(context, request.worker_id, request.lease)
        self._coordinator.see(request.worker_id)
        lease = self._engine.leases.get(request.lease)
        if lease is not None and lease.worker == request.worker_id:
            logger.info(
                "worker %s gives trial %d back: %s", lease.worker, lease.trial, request.reason[:253],
                extra=log_fields(lease) | {"lost": request.lost},
            )  # fmt: skip
            durable = self._engine.end_lease(lease, Ending.LOST if request.lost else Ending.RELEASED)
            self._coordinator.completed(lease.worker)
            await self._coordinator.commits.wrap(durable)
        return pb.ReleaseReply()

    # The inside. ----------------------------------------------------------------------------------------------------

    async def _authorize(self, context: Context, worker: str, lease: str = "", pool: str = "") -> Identity:
        """Lets through who may speak for a worker and about a lease. Tells who it is."""
        pools = (pool, self._coordinator.pool_of(worker), leases.pool_of(lease))
        return await authorize_worker(context, self._engine.manifest.full_name, pools)

    def _report_seconds(self) -> float:
        """How soon after a measurement a worker should report: what all of them report must be one core's work."""
        spec = self._engine.manifest.spec
        if spec.controller.early_stopping.type == "None":
            return 0.0
        workers = max(len(self._coordinator.workers), sum(pool.replicas for pool in spec.pools))
        return max(_MIN_REPORT_SECONDS, workers / _REPORTS_PER_SECOND)

    def _retire(self, worker: Worker, reason: str) -> pb.LeaseReply:
        logger.info("worker %s goes: %s", worker.name, reason, extra={"worker": worker.name})
        self._coordinator.retire(worker)
        return pb.LeaseReply(retire=pb.Retire(reason=reason))

    def _ended(self, token: str) -> "tuple[leases.Lease | None, bool]":
        """A lease that has ended, and whether it brought a result."""
        remembered = self._engine.leases.ended(token)
        if remembered is not None:
            return remembered[0], remembered[1] is Ending.FINISHED
        recorded = self._engine.journal.ended_lease(token)
        if recorded is None:
            return None, False
        lease = leases.Lease(token, recorded.trial, recorded.worker, token, 0, 0.0, 0.0, recorded.training)
        return lease, recorded.reason == "Finished"

    def _assignment(self, grant: Grant) -> pb.Assignment:
        seed = derived_seed(self._engine.manifest.spec.seed, grant.trial.trial)
        stage, final = self._engine.final_stage, None
        if (training := stage.get(grant.lease.training)) is not None:
            seed = derived_seed(seed, training.planned.repeat)
            final = pb.FinalTraining(
                training=training.planned.training,
                settings=training.planned.settings,
                timeout_seconds=stage.timeout_seconds(),
                max_weights_bytes=stage.max_weights_bytes(),
            )
        return pb.Assignment(
            lease=grant.lease.token,
            trial_id=grant.trial.trial,
            architecture=grant.trial.architecture,
            seed=seed,
            attempt=grant.lease.attempt,
            final_training=final,
            first_training=leases.is_of_first_training(grant.lease.token),
            traceparent=self._coordinator.traceparent(grant.lease),
        )
