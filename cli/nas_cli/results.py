"""`Results`: the results in a state directory, whether or not its search is running."""

import json
import shlex
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas_api.spec import NASSearch
from nas_child.trained import METRICS, load_metrics
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import (
    FinalTrainingRecord,
    JournalError,
    JournalReader,
    LeaseSpan,
    TrialRecord,
    UpdateRecord,
)
from nas_controller.progress import BUDGET_REASONS, Progress, Verdict
from nas_controller.remarks import remarks
from nas_controller.weight_store import kept_file

from nas_cli.failure import BadInput, Failure
from nas_cli.random_twin import twin_directory
from nas_cli.search_results import SearchResults
from nas_cli.state_directory import StateDirectory

_PAGE = 1000


class Results(SearchResults):
    """A reader of the journal, and of the files beside it."""

    def __init__(self, state: StateDirectory, search: NASSearch, journal: JournalReader) -> None:
        super().__init__(search)
        self.state = state
        self._journal = journal

    @property
    def arguments(self) -> str:
        """`--state DIR`."""
        return f"--state {shlex.quote(str(self.state.path))}"

    def finished(self, *, after: int = 0, measurements: bool = False) -> list[TrialRecord]:
        """All finished trials in the order in which they finished, those with a sequence greater than `after`."""
        records: list[TrialRecord] = []
        while page := self._journal.finished(after=after, limit=_PAGE, measurements=measurements):
            records += page
            after = page[-1].sequence
        return records

    def trials(self, newest: int | None = None) -> list[TrialRecord]:
        """The `newest` trials, or all, in the order of their numbers: unfinished ones too, with their measurements."""
        records: list[TrialRecord] = []
        last = max(0, self._journal.recover().last_trial - newest) if newest is not None else 0
        while page := self._journal.trials(after=last, limit=_PAGE, measurements=True):
            records += page
            last = page[-1].sampled.trial
        return records

    def best(self, limit: int) -> list[TrialRecord]:
        """The trials with the highest rewards, best first, with their measurements."""
        return self._journal.best(limit=limit, measurements=True)

    def updates(self, *, after: int = 0) -> Sequence[UpdateRecord]:
        """The updates of the policy, those with a version greater than `after`."""
        return self._journal.updates(after=after)

    def lease_spans(self) -> list[LeaseSpan]:
        """When which workers trained."""
        return self._journal.lease_spans()

    def progress(self) -> Progress:
        """How far the search has come."""
        best = self.best(1)
        return Progress.recovered(self._journal.recover(), best[0].reward if best else None)

    def final_trainings(self) -> list[FinalTrainingRecord]:
        """The trainings of the second stage, by number, with their measurements."""
        return self._journal.final_trainings()

    @contextmanager
    def trained(self, trial: int) -> Iterator[Path]:
        """A directory with weights and metrics of a trial trained to the end (see `nas_child.trained`), if it was.

        Those of `nas train`, which somebody asked for, come before those of the second stage.

        Raises:
            Failure: what the second stage has kept cannot be read.
        """
        own, final = self.state.trained(trial), self.final_training(trial)
        is_ours = final is not None and final.weights_bytes and not self.search.spec.trainer.is_user_task
        if (own / METRICS).exists() or final is None or not is_ours:
            yield own
            return
        with self._unpacked(final) as directory:
            yield directory

    @contextmanager
    def kept_files(self, trial: int) -> Iterator[Path | None]:
        """A directory with what a user's own task has left in the final training of a trial. None: nothing.

        Raises:
            Failure: it cannot be read.
        """
        final = self.final_training(trial)
        if final is None or not final.weights_bytes or not self.search.spec.trainer.is_user_task:
            yield None
            return
        with self._unpacked(final) as directory:
            yield directory

    @contextmanager
    def _unpacked(self, final: FinalTrainingRecord) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="kubenas-") as directory:
            archive = kept_file(self.state.weights, final.planned.training)
            try:
                with tarfile.open(archive) as tar:
                    tar.extractall(directory, filter="data")
            except (OSError, tarfile.TarError) as error:
                number = final.planned.training
                raise Failure(f"cannot read what final training {number} has left, in {archive}: {error}") from error
            yield Path(directory)

    def verdict(self) -> Verdict | None:
        """How the search has ended."""
        recovered = self._journal.recover()
        stored = Verdict(recovered.search_state, recovered.search_reason, recovered.search_message)
        stays = stored.state == "FAILED" or (stored.final and stored.reason not in BUDGET_REASONS)
        verdict = self.progress().verdict(self.search.spec.budget) or (stored if stays else None)
        if verdict is None or verdict.state != "SUCCEEDED":
            return verdict
        # With a second stage only the controller can say that it is done.
        known = json.loads(recovered.facts.get("final_training", "null")) or {}
        wanted = self.search.spec.final_training
        done = known.get("spec") == (wanted.resolved(self.search.spec.trainer) if wanted else None)
        if wanted is not None or known.get("spec"):
            return stored if done and stored.final else None
        return verdict

    def numbered(self, trial: int) -> TrialRecord | None:
        """The trial of a number."""
        return self._journal.trial(trial)

    def log_of(self, trial: int) -> Path | None:
        """The file with what its training printed."""
        log = self.state.trial_log(trial)
        return log if log.exists() else None

    def how_to_train(self, trial: int) -> str:
        """`nas train` does it."""
        return f"`nas train {trial} {self.arguments}` does that; then export again."

    def remarks(self) -> dict[str, str]:
        """What a person should know."""
        return remarks(self._journal)

    @contextmanager
    def twin(self) -> Iterator[SearchResults | None]:
        """The random twin in the directory beside this one."""
        directory = twin_directory(self.state.path)
        if not (directory / "search.yaml").is_file():
            yield None
            return
        with open_results(directory) as twin:
            yield twin

    def trained_here(self, warn: Callable[[str], None]) -> list[Mapping[str, Any]]:
        """Read from the state directory."""
        trained: list[Mapping[str, Any]] = []
        for path in sorted(self.state.path.glob(f"trained/*/{METRICS}")):
            try:
                metrics = load_metrics(path.parent)
            except (OSError, ValueError) as error:
                warn(f"{path} is left out: {error}")
                continue
            if metrics is not None:
                trained.append(metrics)
        return trained

    def data_shape(self) -> DataShape | None:
        """Shape of an image and number of classes, once a worker has seen the data set."""
        fact = self._journal.fact("data_shape")
        return DataShape.from_fact(fact) if fact else None


@contextmanager
def open_results(state: Path | None) -> Iterator[Results]:
    """The results in a state directory (see `StateDirectory.find`).

    Raises:
        BadInput: there is no such state directory, or its journal or manifest cannot be read.
    """
    from nas_api.manifest import ManifestError, load_manifest
    from nas_controller.journal.reader import SqliteReader

    directory = StateDirectory.find(state)
    try:
        search = load_manifest(directory.manifest)
        journal = SqliteReader(directory.journal)
    except (ManifestError, JournalError) as error:
        raise BadInput(str(error)) from error
    try:
        yield Results(directory, search, journal)
    except JournalError as error:
        raise Failure(str(error)) from error
    finally:
        journal.close()
