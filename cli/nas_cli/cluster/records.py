"""What a controller tells of trials, as the records that the journal has of them."""

import json

from nas_api.rpc import trials_pb2 as pb
from nas_controller.journal.journal import (
    FinalTrainingRecord,
    Measurement,
    PlannedTraining,
    SampledTrial,
    TrialRecord,
    TrialState,
    UpdateRecord,
)
from nas_controller.proposal import Proposal


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
        measurements=tuple(Measurement(m.step, dict(m.metrics), m.seconds) for m in trial.measurements),
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
