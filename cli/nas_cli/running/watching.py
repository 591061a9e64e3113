"""Watches a search that somebody else runs: a cluster, or a `nas run` in another terminal."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import grpc
from nas_api.certificates import CertificatesError, channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc.trials_pb2_grpc import SearchServiceStub

from nas_cli.cluster.controller import Controller, ControllerUnreachable, MayNotAsk, open_controller
from nas_cli.failure import BadInput, Failure
from nas_cli.results import open_results
from nas_cli.running.course import Course, FinishedTrial
from nas_cli.running.local_run import Phase
from nas_cli.running.view import View
from nas_cli.search_results import SearchResults
from nas_cli.state_directory import StateDirectory
from nas_cli.terminal import stderr
from nas_cli.which_search import WhichSearch

_STEP = 1.0  # seconds between two looks
_ENDED = (pb.Summary.SUCCEEDED, pb.Summary.FAILED)


@dataclass(frozen=True, slots=True)
class SomeWorker:
    """A worker that the controller speaks of."""

    running: bool = True
    ended: bool = False
    hopeless: str = ""


class ElsewhereRun:
    """A search as its controller tells of it. See `nas_cli.running.view.WatchedRun`."""

    def __init__(self, controller: Controller, check: Callable[[ControllerUnreachable], None]) -> None:
        """Has the first answer.

        Args:
            controller: of the search.
            check: raises a `Failure` when there is no use in asking the controller again. Called when it is silent.
        """
        self.phase = Phase.RUNNING
        self.summary: pb.Summary | None = controller.answered
        self.answering = True
        self.events: list[str] = []
        self._controller = controller
        self._check = check

    @property
    def workers(self) -> Mapping[str, SomeWorker]:
        """Those that are there."""
        told = self.summary.workers if self.summary else ()
        return {worker.worker_id: SomeWorker() for worker in told if worker.alive}

    @property
    def ended(self) -> bool:
        """Whether the search has."""
        return self.summary is not None and self.summary.state in _ENDED

    def look(self, course: Course) -> list[FinishedTrial]:
        """Asks the controller. Returns the trials that have finished since the last time.

        Raises:
            Failure: there is no controller any more.
        """
        try:
            self.summary = self._controller.summary()
            new = course.read()
        except ControllerUnreachable as problem:
            self.answering = False
            self._check(problem)
            return []
        self.answering = True
        return new


@dataclass(frozen=True, slots=True)
class Watched:
    """What there is to watch.

    Attributes:
        run: the search, as its controller tells of it.
        results: of the search.
        where: it is, for a person.
    """

    run: ElsewhereRun
    results: SearchResults
    where: str


def watch(watched: Watched, view: View) -> pb.Summary:
    """Shows the search until it has ended. Returns how.

    Raises:
        Failure: there is no controller any more.
    """
    run = watched.run
    course = Course(watched.results)
    with view:
        while True:
            view.update(run, course, run.look(course))
            if run.ended:
                assert run.summary is not None
                return run.summary
            time.sleep(_STEP)


@contextmanager
def open_watched(which: WhichSearch) -> Iterator[Watched]:
    """Connects to the controller of a search. Waits for it in a cluster, where the search may just have been applied.

    Raises:
        Failure: there is no such search, or its controller cannot be asked and that will not change.
    """
    with ExitStack() as stack:
        yield _in_cluster(which, stack) if which.in_cluster else _on_this_machine(which, stack)


def _in_cluster(which: WhichSearch, stack: ExitStack) -> Watched:
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.results import ControllerResults
    from nas_cli.cluster.searches import find_search, has_ended, search_of

    cluster = stack.enter_context(open_cluster(which.cluster))
    search = search_of(find_search(cluster, which.name))
    name, namespace = search.metadata.name, search.metadata.namespace

    def check(problem: ControllerUnreachable) -> None:
        if has_ended(find_search(cluster, name)) or isinstance(problem, MayNotAsk):
            raise Failure(
                f"the controller of {search.full_name} cannot be asked: {problem}. `kubectl nas get {name} "
                f"--namespace {namespace} -o wide` says how the search stands"
            ) from problem

    controller = _as_soon_as_it_answers(lambda: stack.enter_context(open_controller(cluster, name)), check)
    where = f"namespace {cluster.namespace}, context {cluster.access.context}"
    return Watched(ElsewhereRun(controller, check), ControllerResults(search, controller), where)


def _as_soon_as_it_answers(
    connect: Callable[[], Controller], check: Callable[[ControllerUnreachable], None]
) -> Controller:
    """A controller that may be starting, or may be started anew after an edit of its search."""
    told = ""
    while True:
        try:
            return connect()
        except ControllerUnreachable as problem:
            check(problem)
            if str(problem) != told:
                told = str(problem)
                stderr().print(f"waiting for the controller: {told}", style="yellow", markup=False)
            time.sleep(_STEP)


def _on_this_machine(which: WhichSearch, stack: ExitStack) -> Watched:
    results = stack.enter_context(open_results(which.state))
    state = results.state
    gone = f"no `nas run` works on {state.path} now: `nas best {results.arguments}` shows what it has found"
    try:
        channel = stack.enter_context(_channel(state))
        controller = Controller(SearchServiceStub(channel))
    except (OSError, CertificatesError, ControllerUnreachable) as error:
        raise BadInput(gone) from error

    def check(_: ControllerUnreachable) -> None:
        raise Failure(gone)

    return Watched(ElsewhereRun(controller, check), results, str(state.path))


@contextmanager
def _channel(state: StateDirectory) -> Iterator[grpc.Channel]:
    address = state.address.read_text().strip()
    with grpc.secure_channel(address, channel_credentials(state.certificates / "admin")) as channel:
        yield channel
