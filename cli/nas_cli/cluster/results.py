"""`ControllerResults`: the results of a search in a cluster, as its controller tells them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from nas_api.architectures import ImageShape
from nas_api.spec import NASSearch
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import FinalTrainingRecord, TrialRecord, UpdateRecord

from nas_cli.cluster.cluster import open_cluster
from nas_cli.cluster.controller import Controller, ControllerUnreachable, open_controller
from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.cluster.records import final_records, trial_record, update_record
from nas_cli.cluster.searches import WEIGHTS_IN_CLUSTER, arguments_of, find_search, search_of
from nas_cli.cluster.status_results import StatusResults
from nas_cli.search_results import SearchResults
from nas_cli.terminal import stderr


class ControllerResults(SearchResults):
    """Asks the controller."""

    def __init__(self, search: NASSearch, controller: Controller) -> None:
        super().__init__(search)
        self._controller = controller

    @property
    def arguments(self) -> str:
        """`NAME --namespace NAMESPACE`."""
        return arguments_of(self.search)

    def finished(self, *, after: int = 0, measurements: bool = False) -> list[TrialRecord]:
        """The finished trials; with `measurements` each is asked for by itself."""
        found = self._controller.finished(after)
        if measurements:
            found = [self._controller.trial(trial.trial_id) or trial for trial in found]
        return [trial_record(trial) for trial in found]

    def trials(self, newest: int | None = None) -> list[TrialRecord]:
        """The trials that the policy has proposed."""
        after = 0
        if newest is not None:
            summary = self._controller.summary()
            proposed = summary.trials_finished + summary.trials_leased + summary.trials_pending
            after = max(0, proposed - newest)
        records = [trial_record(trial) for trial in self._controller.trials(after=after)]
        return records[-newest:] if newest is not None else records

    def best(self, limit: int) -> list[TrialRecord]:
        """The trials with the highest rewards."""
        return [trial_record(trial) for trial in self._controller.trials(best_first=True, limit=limit)]

    def numbered(self, trial: int) -> TrialRecord | None:
        """The trial of a number."""
        found = self._controller.trial(trial)
        return None if found is None else trial_record(found)

    def updates(self, *, after: int = 0) -> Sequence[UpdateRecord]:
        """The updates of the policy. None of a controller that is too old to tell them."""
        return [update_record(update) for update in self._controller.updates(after)]

    def final_trainings(self) -> list[FinalTrainingRecord]:
        """Those that count of the best trials."""
        return final_records(self._controller.answered)

    def data_shape(self) -> DataShape | None:
        """As the workers have told it."""
        summary = self._controller.answered
        if not summary.HasField("data_shape"):
            return None
        shape = summary.data_shape
        return DataShape(ImageShape(shape.channels, shape.height, shape.width), shape.classes)

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
            results = ControllerResults(search, controller)
        yield results
