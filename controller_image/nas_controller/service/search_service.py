"""`SearchService`: what the operator and the command line call."""

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from nas_controller.engine import Engine
from nas_controller.journal.journal import TrialState
from nas_controller.progress import Verdict
from nas_controller.remarks import remarks
from nas_controller.service.authorization import authorize_admin
from nas_controller.service.coordinator import Coordinator, Worker
from nas_controller.service.messages import (
    MAX_TEXT,
    lease_message,
    shape_message,
    training_message,
    trial_message,
    update_message,
)
from nas_controller.weight_store import WeightStore

Context = aio.ServicerContext[Any, Any]

_PAGE = 1000
_BEST = 10


class SearchService(rpc.SearchServiceServicer):
    """Tells how a search stands, and changes its state."""

    def __init__(self, coordinator: Coordinator, weights: WeightStore) -> None:
        self._coordinator = coordinator
        self._weights = weights

    @property
    def _engine(self) -> Engine:
        return self._coordinator.engine

    async def GetSummary(self, request: pb.GetSummaryRequest, context: Context) -> pb.Summary:  # noqa: ARG002, N802
        """How the search stands."""
        await self._authorize(context)
        return self._summary()

    async def ListTrials(self, request: pb.ListTrialsRequest, context: Context) -> pb.ListTrialsReply:  # noqa: N802
        """A page of trials."""
        await self._authorize(context)
        journal = self._engine.journal
        limit = min(request.limit or _PAGE, _PAGE)
        if request.trial_id:
            found = journal.trial(request.trial_id)
            records = [found] if found else []
        elif request.best_first:
            records = journal.best(offset=request.after_trial_id, limit=limit, measurements=request.measurements)
        else:
            records = journal.trials(after=request.after_trial_id, limit=limit, measurements=request.measurements)
        return pb.ListTrialsReply(trials=[trial_message(record) for record in records])

    async def ListUpdates(self, request: pb.ListUpdatesRequest, context: Context) -> pb.ListUpdatesReply:  # noqa: N802
        """A page of the updates of the policy."""
        await self._authorize(context)
        limit = min(request.limit or _PAGE, _PAGE)
        records = self._engine.journal.updates(after=request.after_version, limit=limit)
        return pb.ListUpdatesReply(updates=[update_message(record) for record in records])

    async def ListLeases(self, request: pb.ListLeasesRequest, context: Context) -> pb.ListLeasesReply:  # noqa: N802
        """The leases of a page of trials."""
        await self._authorize(context)
        limit = min(request.limit or _PAGE, _PAGE)
        spans = self._engine.journal.lease_spans(after=request.after_trial_id, limit=limit)
        return pb.ListLeasesReply(leases=map(lease_message, spans))

    async def ListFinalTrainings(  # noqa: N802
        self, request: pb.ListFinalTrainingsRequest, context: Context
    ) -> pb.ListFinalTrainingsReply:
        """A page of the trainings of the second stage."""
        await self._authorize(context)
        records = self._engine.final_stage.ledger.records()
        page = [record for record in records if record.planned.training > request.after_training]
        limit = min(request.limit or _PAGE, _PAGE)
        return pb.ListFinalTrainingsReply(trainings=map(training_message, page[:limit]))

    async def WatchTrials(  # noqa: N802
        self, request: pb.WatchTrialsRequest, context: Context
    ) -> AsyncIterator[pb.Trial]:
        """Trials as they finish, until the search has ended."""
        await self._authorize(context)
        after = request.after_sequence
        while True:
            ended = self._engine.verdict.final
            records = self._engine.journal.finished(after=after, limit=_PAGE)
            for record in records:
                yield trial_message(record)
                after = record.sequence
            if not records:
                if ended and after >= self._engine.last_sequence:
                    return
                await self._coordinator.changed()

    async def DrainWorkers(self, request: pb.DrainWorkersRequest, context: Context) -> pb.DrainWorkersReply:  # noqa: N802
        """Asks workers to go."""
        await self._authorize(context)
        left = self._coordinator.drain(list(request.worker_ids), now=request.now)
        return pb.DrainWorkersReply(workers=[self._worker(worker) for worker in left])

    async def SetState(self, request: pb.SetStateRequest, context: Context) -> pb.Summary:  # noqa: N802
        """Runs, suspends or ends the search."""
        await self._authorize(context)
        if request.state not in pb.Summary.State.values() or request.state == pb.Summary.STATE_UNSPECIFIED:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "state must be RUNNING, SUSPENDED, SUCCEEDED or FAILED"
            )
        verdict = Verdict(pb.Summary.State.Name(request.state), request.reason[:253], request.message[:MAX_TEXT])
        await self._coordinator.commits.wrap(self._coordinator.set_verdict(verdict))
        return self._summary()

    # The inside. ----------------------------------------------------------------------------------------------------

    async def _authorize(self, context: Context) -> None:
        await authorize_admin(context, self._engine.manifest.full_name)

    def _summary(self) -> pb.Summary:
        engine = self._engine
        progress, update = engine.progress, engine.last_update
        # What finished last can still be learnt from: a search has ended when that is done.
        learning = engine.verdict.final and engine.learning
        return pb.Summary(
            search=engine.manifest.full_name,
            state=pb.Summary.RUNNING if learning else pb.Summary.State.Value(engine.verdict.state),
            reason=engine.verdict.reason,
            message=engine.verdict.message,
            epoch=engine.epoch,
            trials_finished=progress.finished,
            trials_succeeded=progress.counts.get(TrialState.SUCCEEDED, 0),
            trials_failed=progress.counts.get(TrialState.FAILED, 0),
            trials_stopped_early=progress.counts.get(TrialState.STOPPED_EARLY, 0),
            trials_replayed=progress.replayed,
            trials_leased=sum(not lease.training for lease in engine.leases.held()),
            trials_pending=0 if engine.final_stage.ending is not None else engine.pending,
            max_trials=engine.manifest.spec.budget.max_trials or 0,
            updates=engine.version,
            baseline=update.statistics.baseline if update else None,
            entropy=update.statistics.entropy if update else None,
            version_lag=update.lag if update else 0,
            best=[
                trial_message(record, engine.final_stage.best(record.sampled.trial))
                for record in engine.journal.best(limit=_BEST)
            ],
            workers=[self._worker(worker) for worker in self._coordinator.workers.values()],
            elapsed_seconds=progress.active_seconds,
            device_seconds=progress.device_seconds,
            sequence=engine.last_sequence,
            journal_problem=engine.journal.problem() or self._weights.problem,
            leases_expired=progress.leases_expired,
            data_shape=shape_message(engine.data_shape),
            final_trainings=engine.final_stage.total,
            final_trainings_finished=engine.final_stage.finished,
            final_best=self._final_best(),
            uptime_seconds=time.monotonic() - self._coordinator.started_at,
            consecutive_failures=progress.consecutive_failures,
            remarks=[pb.Remark(about=about, text=text) for about, text in remarks(engine.journal).items()],
        )

    def _final_best(self) -> pb.Trial | None:
        best = self._engine.final_stage.best_of_all
        if best is None:
            return None
        [record] = self._engine.journal.trials(after=best.planned.trial - 1, limit=1)
        return trial_message(record, best)

    def _worker(self, worker: Worker) -> pb.Worker:
        return pb.Worker(
            worker_id=worker.name,
            pool=worker.pool,
            device=worker.device,
            trial_id=worker.trial,
            seconds_in_state=time.monotonic() - worker.since,
            draining=worker.draining,
            alive=self._coordinator.alive(worker),
        )
