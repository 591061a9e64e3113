"""`SearchResults`: what a search has found so far, wherever that is kept: in a state directory or in a cluster."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from nas_api.architectures import Architecture, parse_architecture
from nas_api.spec import NASSearch, Reward
from nas_controller.best_trainings import best_of_all, best_trainings
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import FinalTrainingRecord, LeaseSpan, TrialRecord, TrialState, UpdateRecord
from nas_controller.progress import Progress, Verdict

from nas_cli.failure import BadInput


class SearchResults(ABC):
    """What the commands that show results ask for."""

    def __init__(self, search: NASSearch) -> None:
        self.search = search

    @property
    def name(self) -> str:
        """The search's name."""
        return self.search.metadata.name

    @property
    @abstractmethod
    def arguments(self) -> str:
        """What names this search on the command line: `--state runs/digits`, or `digits --namespace team`."""

    @abstractmethod
    def finished(self, *, after: int = 0, measurements: bool = False) -> list[TrialRecord]:
        """All finished trials in the order in which they finished, those with a sequence greater than `after`."""

    @abstractmethod
    def trials(self, newest: int | None = None) -> list[TrialRecord]:
        """The `newest` trials, or all, in the order of their numbers: unfinished ones too, with their measurements."""

    def failed(self, newest: int | None = None) -> list[TrialRecord]:
        """The `newest` trials that failed, or all, in the order of their numbers."""
        records = [record for record in self.trials() if record.state is TrialState.FAILED]
        return records[-newest:] if newest else records

    @abstractmethod
    def best(self, limit: int) -> list[TrialRecord]:
        """The trials with the highest rewards, best first, with their measurements."""

    @abstractmethod
    def numbered(self, trial: int) -> TrialRecord | None:
        """The trial of a number, with its measurements. None: there is none."""

    @abstractmethod
    def updates(self, *, after: int = 0) -> Sequence[UpdateRecord]:
        """The updates of the policy, those with a version greater than `after`, as far as they are to be had."""

    @abstractmethod
    def final_trainings(self) -> list[FinalTrainingRecord]:
        """The trainings of the second stage, by number, with their measurements, as far as they are to be had."""

    @abstractmethod
    def lease_spans(self) -> list[LeaseSpan]:
        """When which workers trained, by trial, and of a trial in the order in which they began."""

    @abstractmethod
    def progress(self) -> Progress:
        """How far the search has come."""

    @abstractmethod
    def verdict(self) -> Verdict | None:
        """How the search has ended: by its budget, because it failed or has converged. None: it has not."""

    @abstractmethod
    def remarks(self) -> Mapping[str, str]:
        """What a person should know beside the figures, by what it is about."""

    @abstractmethod
    def data_shape(self) -> DataShape | None:
        """Shape of an image and number of classes, once a worker has seen the data set."""

    @abstractmethod
    def twin(self) -> AbstractContextManager["SearchResults | None"]:
        """The results of the random twin of the search, see `nas_cli.random_twin`. None: it has none.

        Raises:
            Failure: it cannot be read.
        """

    @abstractmethod
    def how_to_train(self, trial: int) -> str:
        """What a person does who wants the trained weights of a trial that has none here."""

    def final_training(self, trial: int) -> FinalTrainingRecord | None:
        """The one that counts of those of a trial, if one has succeeded."""
        return best_trainings(self.final_trainings()).get(trial)

    def trial(self, reference: str) -> TrialRecord:
        """The trial of a number, or the best: of the final trainings, if one has succeeded, else of the search.

        Raises:
            BadInput: there is no such trial.
        """
        if reference == "best" and (final := best_of_all(self.final_trainings())) is not None:
            reference = str(final.planned.trial)
        if reference == "best":
            best = self.best(1)
            if not best:
                raise BadInput(f"no trial of {self.name} has succeeded yet: see `nas trials {self.arguments}`")
            return best[0]
        if not reference.isdecimal():
            raise BadInput(f"{reference!r} is no trial: give its number, or `best`")
        record = self.numbered(int(reference))
        if record is None:
            raise BadInput(f"{self.name} has no trial {reference}: `nas trials {self.arguments}` lists them")
        return record

    def log_of(self, trial: int) -> Path | None:  # noqa: ARG002 - of this search there are no files
        """The file with what the training of a trial printed, if there is one."""
        return None

    def trained(self, trial: int) -> AbstractContextManager[Path]:  # noqa: ARG002
        """A directory with weights and metrics of a trial trained to the end (see `nas_child.trained`), if it was."""
        return _empty_directory()

    def trained_here(self, warn: Callable[[str], None]) -> list[Mapping[str, Any]]:  # noqa: ARG002
        """The metrics of what `nas train` has trained, by trial. `warn`: is told of what cannot be read."""
        return []

    @contextmanager
    def kept_files(self, trial: int) -> Iterator[Path | None]:  # noqa: ARG002
        """A directory with what a user's own task has left in the final training of a trial. None: nothing."""
        yield None


def architecture_of(record: TrialRecord) -> Architecture:
    """The architecture of a trial."""
    return parse_architecture(record.sampled.architecture)


def metric_of(record: TrialRecord, reward: Reward) -> float | None:
    """The metric that the reward is made of, aggregated, before scale and exponent. None if it was not measured."""
    from nas_controller.reward import NoRewardError, compute_reward

    try:
        return compute_reward(record.measurements, reward.model_copy(update={"scale": 1.0, "exponent": 1.0}))
    except NoRewardError:
        return None


@contextmanager
def _empty_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kubenas-") as directory:
        yield Path(directory)
