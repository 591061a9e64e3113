"""Between the messages of the gRPC services and what the controller computes with."""

from collections.abc import Iterable

from nas_api.architectures import ImageShape
from nas_api.rpc import trials_pb2 as pb

from nas_controller.best_trainings import last_metrics
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import (
    FinalTrainingRecord,
    LeaseSpan,
    Measurement,
    TrialRecord,
    TrialState,
    UpdateRecord,
)
from nas_controller.trial_result import TrialResult

# A task that reports more often than this has its series thinned by its worker.
MAX_MEASUREMENTS = 20_000
MAX_METRICS = 100
MAX_PIECE_BYTES = 2**20
MAX_NAME = 253
MAX_TEXT = 4096

_STATES = {
    pb.SUCCEEDED: TrialState.SUCCEEDED,
    pb.FAILED: TrialState.FAILED,
    pb.STOPPED_EARLY: TrialState.STOPPED_EARLY,
}


class MalformedError(ValueError):
    """A message says something that it may not; the text names the field, the value and what is allowed."""


def check_name(field: str, value: str) -> str:
    """`value`, if it can be a name.

    Raises:
        MalformedError: it is empty, too long or not printable.
    """
    if not value or len(value) > MAX_NAME or not value.isprintable():
        raise MalformedError(f"{field} must have 1 to {MAX_NAME} printable characters: {value[:40]!r}")
    return value


def measurements_of(messages: Iterable[pb.Measurement]) -> tuple[Measurement, ...]:
    """The measurements in a message.

    Raises:
        MalformedError: there are too many.
    """
    found = tuple(Measurement(m.step, dict(m.metrics), m.seconds) for m in messages)
    if len(found) > MAX_MEASUREMENTS:
        raise MalformedError(f"measurements: {len(found)} are more than {MAX_MEASUREMENTS}")
    for measurement in found:
        if len(measurement.metrics) > MAX_METRICS or any(len(name) > MAX_NAME for name in measurement.metrics):
            raise MalformedError(
                f"measurements: step {measurement.step} has more than {MAX_METRICS} metrics, "
                f"or a name longer than {MAX_NAME}"
            )
    return found


def result_of(request: pb.CompleteRequest) -> TrialResult:
    """The result in a message.

    Raises:
        MalformedError: the outcome is none.
    """
    state = _STATES.get(request.outcome)
    if state is None:
        raise MalformedError(f"outcome must be SUCCEEDED, FAILED or STOPPED_EARLY: {request.outcome}")
    failed = state is TrialState.FAILED
    return TrialResult(
        state,
        measurements_of(request.measurements),
        reason=check_name("reason", request.reason or "Unknown") if failed else "",
        message=request.message[:MAX_TEXT] if state is not TrialState.STOPPED_EARLY else "",
        train_seconds=max(0.0, request.train_seconds),
        device_seconds=max(0.0, request.device_seconds),
        weights_bytes=request.weights_bytes,
    )


def check_upload(request: pb.UploadRequest, largest: int) -> None:
    """Raises MalformedError if a piece is none, or of more than `largest` bytes."""
    if not 0 < request.total_bytes <= largest:
        raise MalformedError(
            f"total_bytes must be from 1 to finalTraining.maxWeightsSize ({largest}): {request.total_bytes}"
        )
    if len(request.data) > MAX_PIECE_BYTES or request.offset + len(request.data) > request.total_bytes:
        raise MalformedError(
            f"data must be at most {MAX_PIECE_BYTES} bytes, and end at total_bytes: {len(request.data)} bytes at "
            f"{request.offset} of {request.total_bytes}"
        )


def shape_of(request: pb.RegisterRequest) -> DataShape | None:
    """The shape of the data in a message, if it has one.

    Raises:
        MalformedError: it is none.
    """
    if not request.HasField("data_shape"):
        return None
    shape = request.data_shape
    if min(shape.channels, shape.height, shape.width, shape.classes) < 1:
        raise MalformedError(
            f"data_shape must be positive: {shape.channels}x{shape.height}x{shape.width}, {shape.classes}"
        )
    return DataShape(ImageShape(shape.channels, shape.height, shape.width), shape.classes)


def shape_message(shape: DataShape | None) -> pb.DataShape | None:
    """The shape of the data as `SearchService` tells it."""
    return None if shape is None else pb.DataShape(**shape.image._asdict(), classes=shape.classes)


def final_message(record: FinalTrainingRecord | None) -> pb.FinalResult | None:
    """The final training of a trial that counts, as `SearchService` tells it."""
    if record is None:
        return None
    return pb.FinalResult(
        training=record.planned.training,
        settings=record.planned.settings,
        reward=record.reward or 0.0,
        metrics=last_metrics(record),
    )


def training_message(record: FinalTrainingRecord) -> pb.PlannedTraining:
    """A final training as `SearchService` tells it. `record`: without its series, see `without_series`."""
    return pb.PlannedTraining(
        training=record.planned.training,
        trial_id=record.planned.trial,
        settings=record.planned.settings,
        state=record.state.value,
        reward=record.reward,
        reason=record.reason,
        message=record.message,
        measured=measurement_message(record.measurements[-1]) if record.measurements else None,
        train_seconds=record.train_seconds,
        weights_bytes=record.weights_bytes,
        finished_at=record.finished_at,
    )


def lease_message(span: LeaseSpan) -> pb.LeaseSpan:
    """A lease as `SearchService` tells it."""
    return pb.LeaseSpan(
        trial_id=span.trial,
        training=span.training,
        worker_id=span.worker,
        pool=span.pool,
        granted_at=span.granted_at,
        ended_at=span.ended_at,
        ended=span.ended,
        device_seconds=span.device_seconds,
    )


def measurement_message(measurement: Measurement) -> pb.Measurement:
    """A measurement as `SearchService` tells it."""
    return pb.Measurement(step=measurement.step, metrics=measurement.metrics, seconds=measurement.seconds)


def update_message(record: UpdateRecord) -> pb.Update:
    """An update as `SearchService` tells it."""
    return pb.Update(
        version=record.version,
        batch=record.batch,
        lag=record.lag,
        baseline=record.baseline,
        entropy=record.entropy,
        gradient_norm=record.gradient_norm,
        mean_reward=record.mean_reward,
        trials_finished=record.trials_finished,
        at=record.at,
    )


def trial_message(record: TrialRecord, final: FinalTrainingRecord | None = None) -> pb.Trial:
    """A trial as `SearchService` tells it. `final`: the training that counts of its second stage."""
    return pb.Trial(
        trial_id=record.sampled.trial,
        sequence=record.sequence,
        state=record.state.value,
        architecture=record.sampled.architecture,
        digest=record.sampled.digest,
        reward=record.reward,
        reason=record.reason,
        message=record.message,
        measurements=map(measurement_message, record.measurements),
        policy_version=record.policy_version,
        attempts=record.attempts,
        worker_id=record.worker,
        train_seconds=record.train_seconds,
        finished_at=record.finished_at,
        parameters=record.sampled.parameters,
        flops=record.sampled.flops,
        replay_of=record.replay_of or 0,
        final_result=final_message(final),
    )
