"""What a controller tells of trials, as the records that the journal has of them."""

import json

from nas_api.rpc import trials_pb2 as pb
from nas_controller.journal.journal import (
    FinalTrainingRecord,
    LeaseSpan,
    Measurement,
    PlannedTraining,
    SampledTrial,
    TrialRecord,
    TrialState,
    UpdateRecord,
)
from nas_controller.progress import Progress, Verdict
from nas_controller.proposal import Proposal

_ENDED = (pb.Summary.SUCCEEDED, pb.Summary.FAILED)


def trial_record(trial: pb.Trial) -> TrialRecord:
    """The record of a trial. The decisions that led to its architecture are not told."""
    depth = len(json.loads(trial.architecture).get("layers", ()))
    sampled = SampledTrial(
        trial.trial_id, 0, Proposal((), depth), trial.architecture, trial.digest, trial.parameters, trial.flops
    )
    return TrialRecord(
        sampled=sampled,
        policy_version=trial.policy_version,
        state=TrialState(trial.state),
        attempts=trial.attempts,
        worker=trial.worker_id,
        sequence=trial.sequence,
        reward=trial.reward if trial.HasField("reward") else None,
        reason=trial.reason,
        message=trial.message,
        measurements=tuple(map(_measurement, trial.measurements)),
        train_seconds=trial.train_seconds,
        finished_at=trial.finished_at,
        replay_of=trial.replay_of or None,
    )


def update_record(update: pb.Update) -> UpdateRecord:
    """The record of an update."""
    return UpdateRecord(
        version=update.version,
        batch=update.batch,
        lag=update.lag,
        baseline=update.baseline if update.HasField("baseline") else None,
        entropy=update.entropy if update.HasField("entropy") else None,
        gradient_norm=update.gradient_norm if update.HasField("gradient_norm") else None,
        mean_reward=update.mean_reward,
        trials_finished=update.trials_finished,
        at=update.at,
    )


def lease_span(span: pb.LeaseSpan) -> LeaseSpan:
    """The record of a lease."""
    return LeaseSpan(
        trial=span.trial_id,
        training=span.training,
        worker=span.worker_id,
        pool=span.pool,
        granted_at=span.granted_at,
        ended_at=span.ended_at if span.HasField("ended_at") else None,
        ended=span.ended,
        device_seconds=span.device_seconds,
    )


def progress(summary: pb.Summary) -> Progress:
    """How far a search has come."""
    counts = {
        TrialState.SUCCEEDED: summary.trials_succeeded,
        TrialState.FAILED: summary.trials_failed,
        TrialState.STOPPED_EARLY: summary.trials_stopped_early,
    }
    return Progress(
        counts=counts,
        consecutive_failures=summary.consecutive_failures,
        best_reward=summary.best[0].reward if summary.best else None,
        device_seconds=summary.device_seconds,
        active_seconds=summary.elapsed_seconds,
        leases_expired=summary.leases_expired,
        replayed=summary.trials_replayed,
    )


def verdict(summary: pb.Summary) -> Verdict | None:
    """How a search has ended. None: it has not."""
    if summary.state not in _ENDED:
        return None
    return Verdict(pb.Summary.State.Name(summary.state), summary.reason, summary.message)


def training_record(training: pb.PlannedTraining) -> FinalTrainingRecord:
    """The record of a final training, of its measurements the last one. Which repetition it is, is not told."""
    return FinalTrainingRecord(
        planned=PlannedTraining(training.training, training.trial_id, training.settings, 0),
        wanted=True,
        state=TrialState(training.state),
        reward=training.reward if training.HasField("reward") else None,
        reason=training.reason,
        message=training.message,
        measurements=(_measurement(training.measured),) if training.HasField("measured") else (),
        train_seconds=training.train_seconds,
        weights_bytes=training.weights_bytes,
        finished_at=training.finished_at,
    )


def _measurement(told: pb.Measurement) -> Measurement:
    return Measurement(told.step, dict(told.metrics), told.seconds)


def final_records(summary: pb.Summary) -> list[FinalTrainingRecord]:
    """The final trainings that count of the best trials, by number: the others are not told."""
    told = {trial.trial_id: trial for trial in summary.best}
    if summary.HasField("final_best"):
        told[summary.final_best.trial_id] = summary.final_best
    records = [
        final_record(trial.trial_id, trial.final_result) for trial in told.values() if trial.final_result.training
    ]
    return sorted(records, key=lambda record: record.planned.training)


def final_record(trial: int, result: pb.FinalResult) -> FinalTrainingRecord:
    """The record of a final training that has succeeded. How long it took is not told."""
    return FinalTrainingRecord(
        planned=PlannedTraining(result.training, trial, result.settings, 0),
        wanted=True,
        state=TrialState.SUCCEEDED,
        reward=result.reward,
        measurements=(Measurement(0, dict(result.metrics), 0.0),),
    )
