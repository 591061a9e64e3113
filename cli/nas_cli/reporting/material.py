"""`Material`: all that a report tells of, wherever it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_api.spec import NASSearch
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import FinalTrainingRecord, LeaseSpan, TrialRecord, UpdateRecord
from nas_controller.progress import Progress, Verdict


@dataclass(frozen=True, slots=True)
class Twin:
    """The random twin of a search, see `nas_cli.random_twin`."""

    name: str
    finished: Sequence[TrialRecord]


@dataclass(frozen=True, slots=True)
class Material:
    """A search as it stood at one time.

    Attributes:
        search: the manifest.
        read_at: when, in Unix seconds, as all times.
        where: how commands name the search, such as `--state runs/digits`.
        finished: trials in the order in which they finished, without their measurements.
        top: the best trials of different architectures, best first, with their measurements.
        updates: of the policy, in order.
        leases: in the order in which they were granted.
        final_trainings: of the second stage, by number.
        trained: the metrics of what `nas train` has trained (see `nas_child.trained`), by number of the trial.
        progress: counts and sums.
        verdict: how the search has ended. None: it has not.
        remarks: what a person should know of early stopping and of the rewards.
        data_shape: of an image. None: not known.
        twin: None: there is none.
    """

    search: NASSearch
    read_at: float
    where: str
    finished: Sequence[TrialRecord]
    top: Sequence[TrialRecord]
    updates: Sequence[UpdateRecord]
    leases: Sequence[LeaseSpan]
    final_trainings: Sequence[FinalTrainingRecord]
    trained: Sequence[Mapping[str, Any]]
    progress: Progress
    verdict: Verdict | None
    remarks: Sequence[str]
    data_shape: DataShape | None
    twin: Twin | None
