"""`ControllerResults`: the results of a search in a cluster, as its controller tells them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from nas_api.architectures import ImageShape
from nas_api.spec import NASSearch
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import FinalTrainingRecord, LeaseSpan, TrialRecord, UpdateRecord
from nas_controller.progress import Progress, Verdict

from nas_cli.cluster import records
from nas_cli.cluster.cluster import Cluster, NotFound, open_cluster
from nas_cli.cluster.controller import Controller, ControllerUnreachable, TooOld, open_controller
from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.cluster.searches import WEIGHTS_IN_CLUSTER, arguments_of, find_search, search_of
from nas_cli.cluster.status_results import StatusResults
from nas_cli.failure import Failure
from nas_cli.random_twin import twin_name
from nas_cli.search_results import SearchResults
from nas_cli.terminal import stderr


class ControllerResults(SearchResults):
    """Asks the controller."""

    def __init__(
        self,
        search: NASSearch,
        controller: Controller,
        open_twin: Callable[[], AbstractContextManager[SearchResults | None]] = nullcontext,
    ) -> None:
        """Asks nothing yet.

        Args:
            search: whose results they are.
            controller: of the search.
            open_twin: gives the results of its random twin.
        """
        super().__init__(search)
        self._controller = controller
        self._open_twin = open_twin

    @property
    def arguments(self) -> str:
        """`NAME --namespace NAMESPACE`."""
        return arguments_of(self.search)

    def finished(self, *, after: int = 0, measurements: bool = False) -> list[TrialRecord]:
        """The finished trials; with `measurements` each is asked for by itself."""
        found = self._controller.finished(after)
        if measurements:
            found = [self._controller.trial(trial.trial_id) or trial for trial in found]
        return [records.trial_record(trial) for trial in found]

    def trials(self, newest: int | None = None) -> list[TrialRecord]:
        """The trials that the policy has proposed."""
        after = 0
        if newest is not None:
            summary = self._controller.summary()
            proposed = summary.trials_finished + summary.trials_leased + summary.trials_pending
            after = max(0, proposed - newest)
        found = [records.trial_record(trial) for trial in self._controller.trials(after=after)]
        return found[-newest:] if newest is not None else found

    def best(self, limit: int) -> list[TrialRecord]:
        """The trials with the highest rewards."""
        return [records.trial_record(trial) for trial in self._controller.trials(best_first=True, limit=limit)]

    def numbered(self, trial: int) -> TrialRecord | None:
        """The trial of a number."""
        found = self._controller.trial(trial)
        return None if found is None else records.trial_record(found)

    def updates(self, *, after: int = 0) -> Sequence[UpdateRecord]:
        """The updates of the policy. None of a controller that is too old to tell them."""
        try:
            return [records.update_record(update) for update in self._controller.updates(after)]
        except TooOld:
            return []

    def final_trainings(self) -> list[FinalTrainingRecord]:
        """The trainings of the second stage. Of a controller that is too old to tell them, those that count."""
        summary = self._controller.answered
        if not summary.final_trainings and not summary.HasField("final_best"):
            return []
        try:
            return [records.training_record(training) for training in self._controller.final_trainings()]
        except TooOld:
            return records.final_records(summary)

    def lease_spans(self) -> list[LeaseSpan]:
        """When which workers trained."""
        return [records.lease_span(span) for span in self._controller.leases()]

    def progress(self) -> Progress:
        """As its summary says."""
        return records.progress(self._controller.answered)

    def verdict(self) -> Verdict | None:
        """As its summary says."""
        return records.verdict(self._controller.answered)

    def remarks(self) -> Mapping[str, str]:
        """As its summary says."""
        return {remark.about: remark.text for remark in self._controller.answered.remarks}

    def data_shape(self) -> DataShape | None:
        """As the workers have told it."""
        summary = self._controller.answered
        if not summary.HasField("data_shape"):
            return None
        shape = summary.data_shape
        return DataShape(ImageShape(shape.channels, shape.height, shape.width), shape.classes)

    def twin(self) -> AbstractContextManager[SearchResults | None]:
        """The random twin in the same namespace."""
        return self._open_twin()

    def how_to_train(self, trial: int) -> str:  # noqa: ARG002
        """The weights of a second stage stay in the cluster."""
        return WEIGHTS_IN_CLUSTER


@contextmanager
def open_cluster_results(name: str | None, options: ClusterOptions) -> Iterator[SearchResults]:
    """The results of a search in a cluster: from its controller, or as far as the cluster knows them without it.

    Raises:
        Failure: there is no such search, or the cluster does not answer.
    """
    with ExitStack() as stack:
        cluster = stack.enter_context(open_cluster(options))
        found = find_search(cluster, name)
        search = search_of(found)
        try:
            controller = stack.enter_context(open_controller(cluster, search.metadata.name))
        except ControllerUnreachable as error:
            results: SearchResults = StatusResults(cluster, search, str(error))
            stderr().print(
                f"note: the controller of {search.full_name} cannot be asked: {error}. This is what the status of the "
                "search says",
                style="yellow",
                markup=False,
            )
        else:
            results = ControllerResults(search, controller, lambda: _open_twin(cluster, search.metadata.name))
        yield results


@contextmanager
def _open_twin(cluster: Cluster, name: str) -> Iterator[SearchResults | None]:
    """The results of the random twin of the search of that name. None: there is none."""
    twin = twin_name(name)
    try:
        found = cluster.get(cluster.search_path(twin), f"the search {twin}")
    except NotFound:
        found = None
    if found is None:
        yield None
        return
    search = search_of(found)
    try:
        with open_controller(cluster, twin) as controller:
            yield ControllerResults(search, controller)
    except ControllerUnreachable as error:
        raise Failure(f"the controller of {search.full_name} cannot be asked: {error}") from error
