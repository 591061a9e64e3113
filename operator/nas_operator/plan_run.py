"""`PlanRun`: carries out the actions of a plan in their order, and knows what came of it."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from itertools import groupby, islice

from nas_operator.action_words import describe, describe_all
from nas_operator.actions import (
    Action,
    Annotate,
    Apply,
    Create,
    CreateAuthority,
    Delete,
    DrainWorkers,
    Emit,
    IssueCertificate,
    SetOwners,
    WriteStatus,
)
from nas_operator.apply import Applier, ChangedError, RefusedError
from nas_operator.cache import Key
from nas_operator.controller_client import ControllerError
from nas_operator.kubernetes_api import ApiError
from nas_operator.names import POOL_LABEL
from nas_operator.observed import Object, Refusal

logger = logging.getLogger(__name__)

# Actions that are carried out at the same time, at most.
AT_ONCE = 8
# What the API server will not do however often it is asked: invalid, not allowed, over quota.
_REFUSED = (400, 403, 422)
# No answer, or none now.
_UNANSWERED = (0, 429, 503, 504)


class PlanRun:
    """One run through a plan.

    What is needed by later actions comes first in a plan. Of an action that fails only what depends on it is left out:
    a search can be suspended though its Service is refused. When the API server does not answer, the run ends.

    Attributes:
        applier: that carries out the actions.
        done: actions that were carried out.
        refusals: of actions that were not, and will not be until something changes.
        failed: whether an action has failed.
        cut_short: whether actions were left for the next plan, since the run has taken long: it should look up and
            see what has changed meanwhile.
    """

    def __init__(
        self, key: Key, applier: Applier, threads: Executor, stopping: threading.Event, seconds: float = 10.0
    ) -> None:
        """Prepares a run.

        Args:
            key: the search.
            applier: that carries out its actions.
            threads: for actions that can be carried out at the same time.
            stopping: set when the operator stops: the run ends after the actions under way.
            seconds: that it may take, about.
        """
        self.applier = applier
        self.done: list[Action] = []
        self.refusals: list[Refusal] = []
        self.failed = False
        self.cut_short = False
        self._ended = False
        # What depends on actions that have failed: certificates, all workers, those of pools, what happens to Jobs, the
        # end of pools.
        self._no_authority = False
        self._no_workers = False
        self._no_workers_of: set[str | None] = set()
        self._unmarked: set[str] = set()
        self._certificate_stays = False
        self._key = key
        self._threads = threads
        self._stopping = stopping
        self._deadline = time.monotonic() + seconds

    def carry_out(self, actions: Iterable[Action]) -> None:
        """Carries out `actions`, as far as possible."""
        for batch in _batches(actions):
            errors = list(self._threads.map(self._try, batch)) if len(batch) > 1 else [self._try(batch[0])]
            for action, error in zip(batch, errors, strict=True):
                if error is not None:
                    self._take_failure(action, error)
            if self._ended:
                return

    def say(self, actions: Iterable[Action]) -> None:
        """Carries out those of `actions` that tell users something, after others have failed."""
        for action in actions:
            if isinstance(action, WriteStatus | Emit) and not self._stopping.is_set():
                try:
                    self.applier.carry_out(action)
                    self.done.append(action)
                except (ApiError, ChangedError) as error:
                    self._log(logging.WARNING, f"{describe(action)}: {error}")

    def log(self) -> None:
        """Writes a line of what was done. The numbers of a running search change all the time, which is no news."""
        if not self.done and not self.failed:
            self._log(logging.DEBUG, "nothing to do")
        elif self.done:
            news = any(not isinstance(action, WriteStatus) for action in self.done)
            self._log(logging.INFO if news else logging.DEBUG, "; ".join(describe_all(self.done)))

    def _is_pointless(self, action: Action) -> bool:
        """Whether an action that it depends on has failed, or it tells of a state that was not reached."""
        match action:
            case WriteStatus() | Emit():
                return bool(self.refusals)  # the plan is made once more, and says so
            case IssueCertificate():
                return self._no_authority
            case Create(manifest):
                return self._no_workers or _pool_of(manifest) in self._no_workers_of
            case Delete("NASPool"):
                return self._certificate_stays
            case Delete(kind, name):
                return kind == "Job" and name in self._unmarked
            case DrainWorkers(workers):
                return not workers
            case _:
                return False

    def _note_dependents(self, action: Action) -> None:
        """Keeps in mind what must not be done since `action` has failed."""
        match action:
            case CreateAuthority():
                self._no_authority = self._no_workers = True
            case IssueCertificate(identity=identity):
                self._no_workers_of.add(identity.pool)
            case Apply({"kind": "ConfigMap" | "NetworkPolicy"}):
                self._no_workers = True
            case Apply({"kind": "NASPool"} as manifest) | Create(manifest):
                self._no_workers_of.add(_pool_of(manifest))
            case SetOwners("Secret"):
                self._certificate_stays = True
            case Annotate("Job", name):
                # A new operator or controller would not know that its worker was asked to go.
                self._unmarked.add(name)
            case _:
                pass

    def _try(self, action: Action) -> Exception | None:
        if isinstance(action, DrainWorkers) and self._unmarked:
            action = DrainWorkers(tuple(id_ for id_ in action.workers if _job_of(id_) not in self._unmarked))
        if self._stopping.is_set() or self._is_pointless(action):
            return None
        if time.monotonic() > self._deadline and not isinstance(action, WriteStatus | Emit):
            self.cut_short = True
            return None
        try:
            self.applier.carry_out(action)
        except (ApiError, ControllerError, ChangedError, RefusedError) as error:
            return error
        self.done.append(action)
        return None

    def _take_failure(self, action: Action, error: Exception) -> None:
        passing = isinstance(error, ChangedError) or (isinstance(error, ApiError) and _is_going(error))
        self._log(logging.INFO if passing else logging.WARNING, f"{describe(action)}: {error}")
        if isinstance(action, Emit):
            return
        self.failed = True
        refused = _is_refusal(error)
        if refused and not isinstance(action, WriteStatus):
            self.refusals.append(_refusal(action, str(error)))
        self._note_dependents(action)
        self._ended = self._ended or (isinstance(error, ApiError) and _is_everywhere(error))

    def _log(self, level: int, words: str) -> None:
        logger.log(level, "%s: %s", self._key, words, extra={"search": str(self._key)})


def _batches(actions: Iterable[Action]) -> Iterator[list[Action]]:
    """Actions that can be carried out at the same time: about Jobs, of one kind, next to each other.

    The first ones are few, as those of the Job controller itself are: when one is refused, most likely all are.
    """
    for type_, of_type in groupby(actions, type):
        if type_ not in (Create, Annotate, Delete):
            yield from ([action] for action in of_type)
            continue
        size = 1
        while batch := list(islice(of_type, size)):
            yield batch
            size = min(2 * size, AT_ONCE)


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, ApiError):
        return error.status in _REFUSED and not _is_going(error)
    return isinstance(error, RefusedError)


def _is_going(error: ApiError) -> bool:
    """Whether the namespace, and the search with it, is being deleted."""
    return error.status == 404 or "NamespaceTerminating" in error.causes


def _is_everywhere(error: ApiError) -> bool:
    """Whether all other actions would fail, too."""
    return error.status in _UNANSWERED or "NamespaceTerminating" in error.causes


def _refusal(action: Action, message: str) -> Refusal:
    match action:
        case Apply(manifest) | Create(manifest):
            metadata = manifest["metadata"]
            return Refusal(manifest["kind"], metadata["name"], metadata.get("labels") or {}, message)
        case Annotate(kind, name) | SetOwners(kind, name) | Delete(kind, name):
            return Refusal(kind, name, {}, message)
        case CreateAuthority(secret) | IssueCertificate(secret):
            return Refusal("Secret", secret, {}, message)
        case _:
            return Refusal("NASSearch", "", {}, message)


def _job_of(worker_id: str) -> str:
    """The Job of a worker, which is named as its pod is."""
    return worker_id.rpartition("-")[0]


def _pool_of(manifest: Object) -> str | None:
    pool: str | None = (manifest["metadata"].get("labels") or {}).get(POOL_LABEL)
    return pool
