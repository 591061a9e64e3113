"""`PlanRun`: carries out the actions of a plan in their order, and knows what came of it."""

import logging
import threading
from collections.abc import Iterable

from nas_operator.action_words import describe, describe_all
from nas_operator.actions import (
    Action,
    Annotate,
    Apply,
    Create,
    CreateAuthority,
    Delete,
    Emit,
    IssueCertificate,
    WriteStatus,
)
from nas_operator.apply import Applier, ChangedError, RefusedError
from nas_operator.cache import Key
from nas_operator.controller_client import ControllerError
from nas_operator.kubernetes_api import ApiError
from nas_operator.names import POOL_LABEL
from nas_operator.observed import Object, Refusal

logger = logging.getLogger(__name__)

# What the API server will not do however often it is asked: invalid, not allowed, over quota.
_REFUSED = (400, 403, 422)


class PlanRun:
    """One run through a plan.

    What is needed by later actions comes first in a plan, so the first action that fails ends it. Workers need nothing
    of each other: where one cannot be made, those of other pools are.

    Attributes:
        applier: that carries out the actions.
        done: actions that were carried out.
        refusals: of actions that were not, and will not be until something changes.
        failed: whether there is anything left to do.
    """

    def __init__(self, key: Key, applier: Applier, stopping: threading.Event) -> None:
        """Prepares a run.

        Args:
            key: the search.
            applier: that carries out its actions.
            stopping: set when the operator stops: the run ends after the action under way.
        """
        self.applier = applier
        self.done: list[Action] = []
        self.refusals: list[Refusal] = []
        self.failed = False
        self._key = key
        self._stopping = stopping

    def carry_out(self, actions: Iterable[Action]) -> None:
        """Carries out `actions`, as far as possible."""
        for action in actions:
            if self._stopping.is_set():
                return
            if self._is_pointless(action):
                continue
            try:
                self.applier.carry_out(action)
                self.done.append(action)
            except (ApiError, ControllerError, ChangedError, RefusedError) as error:
                if not self._go_on_after(action, error):
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
        """Whether another one like it was refused before, or it tells of a state that was not reached."""
        if not self.refusals:
            return False
        if isinstance(action, WriteStatus | Emit):
            return True
        return isinstance(action, Create) and any(
            refusal.kind == action.manifest["kind"] and refusal.labels.get(POOL_LABEL) == _pool_of(action.manifest)
            for refusal in self.refusals
        )

    def _go_on_after(self, action: Action, error: Exception) -> bool:
        if isinstance(action, Emit):
            self._log(logging.WARNING, f"{describe(action)}: {error}")
            return True
        self.failed = True
        refused = _is_refusal(error)
        changed = isinstance(error, ChangedError) or (isinstance(error, ApiError) and _is_going(error))
        self._log(logging.INFO if changed else logging.WARNING, f"{describe(action)}: {error}")
        if refused and not isinstance(action, WriteStatus):
            self.refusals.append(_refusal(action, str(error)))
            return isinstance(action, Create)
        return False

    def _log(self, level: int, words: str) -> None:
        logger.log(level, "%s: %s", self._key, words, extra={"search": str(self._key)})


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, ApiError):
        return error.status in _REFUSED and not _is_going(error)
    return isinstance(error, RefusedError)


def _is_going(error: ApiError) -> bool:
    """Whether the namespace, and the search with it, is being deleted."""
    return error.status == 404 or "NamespaceTerminating" in error.causes


def _refusal(action: Action, message: str) -> Refusal:
    match action:
        case Apply(manifest) | Create(manifest):
            metadata = manifest["metadata"]
            return Refusal(manifest["kind"], metadata["name"], metadata.get("labels") or {}, message)
        case Annotate(kind, name) | Delete(kind, name):
            return Refusal(kind, name, {}, message)
        case CreateAuthority(secret) | IssueCertificate(secret):
            return Refusal("Secret", secret, {}, message)
        case _:
            return Refusal("NASSearch", "", {}, message)


def _pool_of(manifest: Object) -> str | None:
    pool: str | None = (manifest["metadata"].get("labels") or {}).get(POOL_LABEL)
    return pool
