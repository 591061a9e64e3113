"""An engine whose learner does its jobs at once, and a search by ask and tell: without processes or sockets."""

from pathlib import Path

from nas_api.spec import NASSearch
from nas_controller.engine import Engine
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import Lease
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.search import Search
from nas_controller.weight_store import WeightStore


class DrivenEngine(Engine):
    """An engine whose jobs are done at once."""

    def __init__(self, search: NASSearch, journal: SqliteJournal, weights: WeightStore | None = None) -> None:
        self.runner = LocalJobRunner(search.spec)
        super().__init__(search, journal, self.runner, weights=weights)

    def work(self, wanted: int) -> None:
        """Does jobs until `wanted` trials wait, or there is nothing to do."""
        while job := self.next_job(wanted):
            self.absorb(self.runner.run(job)).result()

    def lease(self, worker: str = "w") -> Lease:
        """Leases a trial, sampled if need be."""
        self.work(wanted=1)
        granted = self.grant(worker, None)
        assert granted is not None
        return granted[0]


def manifest_of(spec: dict[str, object]) -> NASSearch:
    """A search that is called default/test."""
    return NASSearch.model_validate(
        {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "test"}, "spec": spec}
    )


def journal(path: Path | str = ":memory:") -> SqliteJournal:
    """The journal of default/test."""
    return SqliteJournal(path, "default/test")


def tell_next(search: Search, reward: float | None) -> None:
    """Asks a search for a trial, and tells its reward. None: it fails."""
    (trial,) = search.ask(1)
    if reward is None:
        search.tell_failed(trial, "it cannot be trained")
    else:
        search.tell(trial, reward)
