"""`Reconciler`: observes one search, plans, and carries the plan out. It blocks, and is called in threads."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from nas_operator.actions import Action, Emit, Plan, WriteStatus
from nas_operator.apply import Applier, Written
from nas_operator.cache import WATCHED_KINDS, Key
from nas_operator.controller_client import ControllerClient
from nas_operator.events import EventRecorder
from nas_operator.kubernetes_api import ApiError, KubernetesApi
from nas_operator.names import POOL_LABEL
from nas_operator.observed import Observed, Refusal
from nas_operator.observer import Objects, Observer
from nas_operator.plan_run import AT_ONCE, PlanRun
from nas_operator.settings import Settings

logger = logging.getLogger(__name__)

MakePlan = Callable[[Observed, Settings, datetime], Plan]


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconciliation went.

    Attributes:
        written: objects of the watched kinds that it has written, before any watch tells of them.
        again_after: seconds after which to reconcile again. None: the search is gone or going.
        failed: whether to do so with a delay that grows.
        done: actions that were carried out.
    """

    written: tuple[Written, ...] = ()
    again_after: float | None = None
    failed: bool = False
    done: tuple[Action, ...] = ()


@dataclass(slots=True)
class _Memory:
    """What is kept of a search from one reconciliation to the next. All of it may be lost.

    Attributes:
        look_closer: whether to list pods and warnings, too. So that nothing is missed, the first time.
        refusals: of the last plan.
        statuses_written: see `Observed`.
        pods_listed_at: see `Observed`.
    """

    look_closer: bool = True
    refusals: tuple[Refusal, ...] = ()
    statuses_written: dict[str, datetime] = field(default_factory=dict)
    pods_listed_at: datetime | None = None


class Reconciler:
    """Brings the cluster closer to what a search asks for, a plan at a time."""

    def __init__(self, api: KubernetesApi, settings: Settings, make_plan: MakePlan) -> None:
        self._api = api
        self._settings = settings
        self._make_plan = make_plan
        self._controllers = ControllerClient()
        self._events = EventRecorder(api)
        self._observer = Observer(api, self._controllers, settings.resync_seconds)
        self._memories: dict[Key, _Memory] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="action")
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Lets reconciliations end after the actions under way. What is asked of controllers is given up."""
        self._stopping.set()
        self._controllers.close()

    def reconcile(self, key: Key, cached: Objects) -> Result:
        """Reconciles a search.

        Args:
            key: the search.
            cached: its objects of the watched kinds.
        """
        search = cached.get("NASSearch", {}).get(key.name)
        if search is None or search["metadata"].get("deletionTimestamp"):
            # What it owns is the garbage collector's.
            self._forget(key)
            return Result()
        memory = self._memories.setdefault(key, _Memory())
        try:
            observed = self._observer.observe(key, cached, look_closer=memory.look_closer)
        except ApiError as error:
            logger.warning("%s: cannot be observed: %s", key, error, extra={"search": str(key)})
            return Result(failed=True)
        observed = replace(
            observed,
            refusals=memory.refusals,
            statuses_written=MappingProxyType(memory.statuses_written),
            pods_listed_at=memory.pods_listed_at,
        )
        if observed.pods_listed:
            memory.pods_listed_at = datetime.now(UTC)
        plan = self._make_plan(observed, self._settings, datetime.now(UTC))
        applier = Applier(
            self._api,
            self._controllers,
            self._events,
            key,
            observed,
            lambda: self._observer.controller_address(key, observed),
        )
        run = PlanRun(key, applier, self._threads, self._stopping)
        try:
            run.carry_out(plan.actions)
        except Exception:
            self._observer.ask_anew(key)
            raise
        memory.look_closer = plan.look_closer
        recovered = bool(memory.refusals) and not run.refusals
        memory.refusals = tuple(run.refusals)
        if run.refusals:
            self._say(observed, memory, run)
        self._remember(key, memory, run)
        run.log()
        return Result(
            tuple(written for written in applier.written if written.kind in WATCHED_KINDS),
            0.0 if recovered or run.cut_short else plan.again_after.total_seconds(),
            failed=run.failed,
            done=tuple(run.done),
        )

    def _say(self, observed: Observed, memory: _Memory, run: PlanRun) -> None:
        """Says on the search what keeps its plan from being carried out."""
        told = replace(observed, refusals=memory.refusals)
        # Of many workers of a pool that are refused, one is enough.
        of_each = {(refusal.kind, refusal.labels.get(POOL_LABEL)): refusal for refusal in reversed(memory.refusals)}
        run.say(self._make_plan(told, self._settings, datetime.now(UTC)).actions)
        run.say(
            Emit("Warning", "ActionRefused", f"{refusal.kind} {refusal.name}: {refusal.message}")
            for refusal in of_each.values()
        )

    def _remember(self, key: Key, memory: _Memory, run: PlanRun) -> None:
        now = datetime.now(UTC)
        for action in run.done:
            if isinstance(action, WriteStatus):
                memory.statuses_written[f"{action.kind}/{action.name}"] = now
        for written in run.applier.written:
            if written.kind not in WATCHED_KINDS:
                name = written.now["metadata"]["name"]
                self._observer.written(key, written.kind, name, None if written.gone else written.now)
        if run.failed:
            self._observer.ask_anew(key)

    def _forget(self, key: Key) -> None:
        self._memories.pop(key, None)
        self._observer.ask_anew(key)
        self._controllers.forget(key)
