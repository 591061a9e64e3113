"""`Task`: what a worker trains, built in or a user's own, and how a trial of it can end.

A worker holds one task. It calls `prepare` and `warm_up` once, then forks a process for each architecture, which calls
`run`. What `prepare` has loaded is shared by all of them.
"""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nas_api.architectures import Architecture, Discrete, ImageShape
from nas_api.spec.trainer import Trainer

if TYPE_CHECKING:
    import torch


# Of one report, as far as a controller takes them.
_MAX_METRICS = 100
_MAX_NAME = 253


class DataShape(NamedTuple):
    """What the data set of a task looks like: the controller needs it to count parameters and FLOPs."""

    channels: int
    height: int
    width: int
    classes: int

    @property
    def image(self) -> ImageShape:
        """The shape of one image."""
        return ImageShape(self.channels, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Trial:
    """One architecture to train, and everything that its training depends on."""

    architecture: Architecture
    seed: int
    """Of the weights and of the order of the batches, 0 to 2^64 - 1."""
    trainer: Trainer
    """`spec.trainer` of the manifest."""
    device: "torch.device"
    """Where to train. No other device may be used."""
    directory: Path
    """An empty directory for files of this trial. It is removed when the trial ends."""
    data_fraction: float = 1.0
    """Part of the training samples to train on, less than 1 only in a first training of `spec.controller.lowFidelity`.
    The `epochs` are then those of the first training, too."""
    final_directory: Path | None = None
    """In a final training of `spec.finalTraining` an empty directory: what is left there, weights for example, is kept
    with the search. `trainer` has the settings of that training then. None: the trial is one of the search."""
    number: int = 0
    """Of the trial, from 1 on."""
    search: str = ""
    """`namespace/name` of the search."""

    @property
    def final(self) -> bool:
        """Whether this is a final training (`spec.finalTraining`): train to the end, and measure on the test set too.

        Report what you measure there under names that begin with `test_`: they are shown, and nothing is chosen by
        them. The reward is made as in the search.
        """
        return self.final_directory is not None

    @property
    def chosen(self) -> dict[str, Any]:
        """What was chosen, by name, in a search of type Discrete; of a repeat a list with such a dict for each round.

        `trial.chosen["width"]` is a value, `trial.chosen["layers"][0]["heads"]` one in the first round of `layers`. A
        choice whose condition did not hold is not in it.

        Raises:
            TypeError: the search is of another type.
        """
        if not isinstance(self.architecture, Discrete):
            raise TypeError(
                f"trial.chosen is for searches of type Discrete, and this is a {self.architecture.type}: "
                "see trial.architecture"
            )
        return self.architecture.nested

    @property
    def epochs(self) -> int:
        """`spec.trainer.epochs`."""
        return self.trainer.epochs

    @property
    def data_path(self) -> str:
        """`spec.trainer.dataset.path`, as it stands in the manifest."""
        return self.trainer.dataset.path

    @property
    def parameters(self) -> dict[str, Any]:
        """`spec.trainer.parameters`: anything that a user's own task wants to know."""
        return self.trainer.parameters


class Report(Protocol):
    """How a task tells what it has measured."""

    def __call__(self, step: int, **metrics: float) -> None:
        """Reports the metrics of one step, usually an epoch. Steps ascend.

        Raises:
            StopTrial: the trial shall end now. What has been reported is its result.
        """


class Task(ABC):
    """What a worker trains."""

    data_shape: DataShape | None = None
    """Shape of the data set, known after `prepare`. None: the task has no images."""

    @abstractmethod
    def prepare(self, trainer: Trainer, seed: int, cache: Path) -> None:
        """Loads what all trials share, on the CPU: it is called once, before any process is forked.

        Args:
            trainer: `spec.trainer` of the manifest.
            seed: `spec.seed`: which part of the data is held out for validation.
            cache: a directory for copies of remote data. Several workers of a machine may share it.

        Raises:
            TaskError: the data is missing, corrupt or does not fit the manifest.
        """

    @abstractmethod
    def warm_up(self) -> None:
        """Takes one tiny step of training on the CPU, so that forked processes need not load code for their first."""

    @abstractmethod
    def run(self, trial: Trial, report: Report) -> None:
        """Trains and measures one architecture.

        Raises:
            StopTrial: `report` asked to stop early.
            TrialFailure: the architecture cannot be trained.
            Exception: anything that a user's task raises. `TrialFailure.of` gives it a reason.
        """


class TaskError(Exception):
    """No trial of this task can ever run: the task cannot be imported, or its data cannot be read."""


class StopTrial(BaseException):
    """The trial shall end now, and what was measured is its result.

    It is no `Exception`, so that a user's `except Exception` lets it pass.
    """


class FailureReason(StrEnum):
    """Why an architecture could not be trained."""

    TASK_RAISED = "TaskRaised"
    NON_FINITE_METRIC = "NonFiniteMetric"
    NO_METRIC = "NoMetric"
    TIMED_OUT = "TimedOut"
    OUT_OF_MEMORY = "OutOfMemory"
    INVALID_ARCHITECTURE = "InvalidArchitecture"


class TrialFailure(Exception):  # noqa: N818 - it is the result of a trial, no error of the program
    """An architecture that cannot be trained: a result, with a reason and a message for a person."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    @classmethod
    def of(cls, error: BaseException) -> "TrialFailure":
        """The failure that an exception of `Task.run` stands for."""
        if isinstance(error, TrialFailure):
            return error
        text = str(error).strip()
        if _is_out_of_memory(error):
            return cls(FailureReason.OUT_OF_MEMORY, text or "no more memory could be allocated")
        name = type(error).__name__
        return cls(FailureReason.TASK_RAISED, f"{name}: {text}" if text else name)


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # PyTorch has no exception type for these.
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in text
        for sign in ("DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", "CUDNN_STATUS_ALLOC_FAILED",
                     "CUBLAS_STATUS_ALLOC_FAILED")
    )  # fmt: skip


def check_finite(step: int, metrics: dict[str, float]) -> None:
    """Raises `TrialFailure` (NonFiniteMetric) if a metric is NaN or infinite."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrialFailure(FailureReason.NON_FINITE_METRIC, f"{name} is {value} at step {step}")


def check_report(step: Any, metrics: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
    """The step and the metrics of a user's report as numbers.

    Raises:
        TypeError: one of them is no number.
        ValueError: there are too many, or the name of one is too long.
        TrialFailure: one is not finite.
    """
    try:
        whole = operator.index(step)
    except TypeError:
        raise TypeError(f"report(): step is {step!r}: give a whole number, such as the number of the epoch") from None
    if not -(2**63) <= whole < 2**63:
        raise ValueError(f"report(): step {whole} does not fit into 64 bits")
    if len(metrics) > _MAX_METRICS:
        raise ValueError(f"report() with {len(metrics)} metrics: {_MAX_METRICS} are the most")
    for name in metrics:
        if len(name) > _MAX_NAME:
            raise ValueError(f"report(): the name of metric {name[:40]}... is longer than {_MAX_NAME} characters")
    values = {name: _number(name, value) for name, value in metrics.items()}
    check_finite(whole, values)
    return whole, values


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, str | bytes):
            return float(value)  # of a tensor of one element, too
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise TypeError(f"report(): {name} is {repr(value)[:100]} ({type(value).__name__}): give one number")
