"""On a real cluster every alert fires in its trouble, and clears when that is mended.

A Prometheus with the chart's PodMonitors and rules, those at another pace, watches searches that run in pods. Each gets
into trouble of another kind, all at the same time; then the operator does. What is not trouble is in test_digits.py.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import namespace_for
from tests.cluster.waiting import wait_for
from tests.e2e.installation import Installation
from tests.e2e.monitoring import watching_prometheus
from tests.e2e.search import LIMITED_STORAGE, PATIENCE, Object, Search, claim, quick_search
from tests.monitoring.prometheus import Prometheus, needs_prometheus

pytestmark = needs_prometheus

# More trials than any machine trains meanwhile: a budget that is nearly spent is an alert.
MANY = 1_000_000
# How much faster the rules are. Five minutes of theirs are three seconds then, not less: on a busy machine two scrapes
# may fail, or a status be written late, and no alert must tell of that.
FASTER = 100
# What the workers run. A file named after the search says that there is trouble.
TASK = """
import math
import os
import signal
import time

TROUBLE = os.environ["TROUBLE"]


def train(trial, report):
    trouble = TROUBLE if os.path.exists(f"/code/{TROUBLE}") else ""
    score = 0.5
    if trouble == "diverging" and trial.chosen["width"] == 1:
        score = math.nan
    elif trouble == "losing":
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel ends what takes too much memory
    elif trouble == "hanging":
        while os.path.exists(f"/code/{TROUBLE}"):
            time.sleep(0.1)
    elif trouble == "collapsing":
        score = float(trial.chosen["width"] == 1)
    else:
        time.sleep(0.3)
    report(1, score=score)
"""


@dataclass(frozen=True)
class Trouble(Search):
    """A search that gets into trouble, and out of it."""

    alerts: ClassVar[tuple[str, ...]]
    """What has to tell of it."""
    may: ClassVar[tuple[str, ...]] = ()
    """What may tell of it, too: at this pace, seconds of what comes with it are long enough."""
    settings: ClassVar[Object] = {}
    """More of `spec.controller`."""

    def start(self) -> None:
        """Applies the search. All is well."""
        controller: Object = {
            "algorithm": {"type": "Random"},
            "duplicates": "Train",
            "parallelism": {"batchSize": 4},
            # Its own room, however full the disk of the machine is, and enough for all that a quick machine trains.
            "storage": {**LIMITED_STORAGE, "size": "256Mi"},
            "resources": {"memory": "1Gi"},
            **self.settings,
        }
        trainer = {
            "task": "troubled:train",
            "environment": {"PYTHONPATH": "/code", "TROUBLE": self.name},
            "volumes": [{"claimName": "code", "mountPath": "/code"}],
        }
        space = {"type": "Discrete", "discrete": {"choices": [{"name": "width", "values": [1, 2, 3, 4]}]}}
        reward = {"metric": "score", "exponent": 1}
        budget = {"maxTrials": MANY, "maxConsecutiveFailures": MANY}
        sections: Object = {"controller": controller, "trainer": trainer, "searchSpace": space, "reward": reward}
        self.apply(quick_search(self.name, **sections, budget=budget))

    def begin(self) -> None:
        """Gets into trouble: that of its workers, if it does nothing else."""
        self.run_on_claim("code", f"open('/claim/{self.name}', 'x')", name=f"begin-{self.name}")

    def mend(self) -> None:
        """Gets out of it."""
        self.run_on_claim("code", f"import os; os.remove('/claim/{self.name}')", name=f"mend-{self.name}")


class Diverging(Trouble):
    """Some trainings end with NaN."""

    alerts = ("NASRewardsNotFinite",)


class Losing(Trouble):
    """Trainings end with the processes that they are in."""

    alerts = ("NASLeasesExpiring",)


class Hanging(Trouble):
    """A training does not end, and it is one of the last."""

    alerts = ("NASNoCompletions", "NASBudgetNearlySpent")

    def begin(self) -> None:
        self.wait_for_trials(20)
        super().begin()
        self.end_after(2)

    def mend(self) -> None:
        self.end_after(MANY)
        super().mend()


class Collapsing(Trouble):
    """One architecture is so much better than all others that the policy proposes nothing else."""

    alerts = ("NASEntropyCollapsed",)
    may = ("NASWorkersPending", "NASNoCompletions")  # until its worker finds the next controller
    settings: ClassVar[Object] = {
        "algorithm": {"type": "REINFORCE", "reinforce": {"learningRate": 0.005, "entropyWeight": 0.1}}
    }

    def mend(self) -> None:
        """As its runbook says. The architecture goes on to be the best."""
        reinforce = {"learningRate": 0.02, "entropyWeight": 1}
        self.patch({"spec": {"controller": {"algorithm": {"reinforce": reinforce}}}})


class Filling(Trouble):
    """The volume of the journal is full."""

    alerts = ("NASJournalVolumeFilling", "NASJournalStalled")
    may = ("NASNoCompletions",)

    def begin(self) -> None:
        self.fill_journal()

    def mend(self) -> None:
        self.make_room_for_journal()


class Unplaced(Trouble):
    """A pool fits no node."""

    alerts = ("NASWorkersPending",)

    def begin(self) -> None:
        self.patch_pool(nodeSelector={"gpu": "of-the-next-decade"})

    def mend(self) -> None:
        self.patch_pool()

    def patch_pool(self, **fields: Any) -> None:
        """Changes its one pool."""
        self.patch({"spec": {"pools": [{"name": "default", "replicas": 1, **fields}]}})


class Leaderless(Trouble):
    """The controller cannot start."""

    alerts = ("NASControllerDown",)
    may = ("NASWorkersPending", "NASNoCompletions")  # until its worker finds the next controller
    settings: ClassVar[Object] = {"lease": {"duration": "10s"}}

    def begin(self) -> None:
        self.patch({"spec": {"controller": {"image": "registry.invalid/nothing:none"}}})

    def mend(self) -> None:
        self.patch({"spec": {"controller": {"image": None}}})


TROUBLES = (Diverging, Losing, Hanging, Collapsing, Filling, Unplaced, Leaderless)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with namespace_for(cluster, "alerts", wait=True) as name:
        yield name


@pytest.fixture(scope="module")
def troubles(cluster: Cluster, operator: Installation, namespace: str) -> list[Trouble]:
    """Searches whose workers train: all is well yet."""
    if not cluster.is_ours:
        pytest.skip("pods of an existing cluster may be out of reach for a Prometheus on this machine")
    troubles: list[Trouble] = [kind(cluster, namespace, kind.__name__.lower()) for kind in TROUBLES]
    cluster.apply(claim("code"), namespace=namespace)
    code = f"open('/claim/troubled.py', 'w').write({TASK!r})"
    troubles[0].run_on_claim("code", code, name="bring-code", image=operator.image())
    for trouble in troubles:
        trouble.start()
    for trouble in troubles:
        trouble.wait_for_workers(1)
    return troubles


@pytest.fixture(scope="module")
def prometheus(
    operator: Installation, troubles: list[Trouble], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """It has seen them all."""
    with watching_prometheus(operator, tmp_path_factory.mktemp("prometheus"), faster=FASTER) as prometheus:
        assert prometheus is not None
        for metric in ("nas_search_info", "nas_search_lease_duration_seconds"):  # of controllers, of the operator
            wait_for(lambda metric=metric: len(prometheus.instant(metric)) == len(troubles), metric, PATIENCE)  # type: ignore[misc]
        yield prometheus


def firing(prometheus: Prometheus) -> set[tuple[str, str]]:
    """The alerts that fire, by search (empty for those of the operator) and name."""
    return {(a.labels.get("search", ""), a.name) for a in prometheus.alerts() if a.state == "firing"}


def fired(prometheus: Prometheus) -> set[tuple[str, str]]:
    """The alerts that have ever fired, by search and name."""
    found = prometheus.range('ALERTS{alertstate="firing"}', seconds=3600)
    return {(series.labels.get("search", ""), series.labels["alertname"]) for series in found}


def test_every_alert_of_a_search_fires_in_its_trouble_alone_and_clears_when_that_is_mended(
    troubles: list[Trouble], prometheus: Prometheus
) -> None:
    for trouble in troubles:
        trouble.begin()
    expected = {trouble.name: {(trouble.name, alert) for alert in trouble.alerts} for trouble in troubles}
    waiting = list(troubles)

    def one_is_told() -> Trouble | None:
        told = fired(prometheus)
        return next((trouble for trouble in waiting if expected[trouble.name] <= told), None)

    while waiting:
        trouble = wait_for(one_is_told, f"alerts of {[trouble.name for trouble in waiting]}", PATIENCE)
        trouble.mend()
        waiting.remove(trouble)
    wait_for(lambda: not firing(prometheus), "all alerts to clear", PATIENCE)
    allowed = {(trouble.name, alert) for trouble in troubles for alert in (*trouble.alerts, *trouble.may)}
    assert fired(prometheus) <= allowed


@contextmanager
def no_operator(operator: Installation) -> Iterator[None]:
    """It is gone for the duration of the context."""
    with_replicas = ["--namespace", operator.namespace, "scale", "deployment", operator.deployment]
    operator.cluster.kubectl(*with_replicas, "--replicas=0")
    try:
        yield
    finally:
        operator.cluster.kubectl(*with_replicas, "--replicas=1")


@contextmanager
def no_rights(operator: Installation) -> Iterator[None]:
    """It may ask the API server nothing for the duration of the context."""
    binding = operator.cluster.kubectl_json("get", "clusterrolebinding", operator.deployment)
    operator.cluster.kubectl("delete", "clusterrolebinding", operator.deployment)
    try:
        yield
    finally:
        metadata = {key: binding["metadata"][key] for key in ("name", "labels", "annotations")}
        operator.cluster.kubectl("create", "-f", "-", input=json.dumps({**binding, "metadata": metadata}))


@pytest.mark.parametrize(
    ("trouble", "alert"), [(no_operator, "NASOperatorDown"), (no_rights, "NASOperatorStalled")], ids=["down", "stalled"]
)
def test_every_alert_of_the_operator_fires_in_its_trouble_alone_and_clears_when_that_is_mended(
    operator: Installation,
    prometheus: Prometheus,
    trouble: Callable[[Installation], AbstractContextManager[None]],
    alert: str,
) -> None:
    before = {name for search, name in fired(prometheus) if not search}
    with trouble(operator):
        wait_for(lambda: ("", alert) in firing(prometheus), f"{alert} to fire", PATIENCE)
    wait_for(lambda: not firing(prometheus), "all alerts to clear", PATIENCE)
    assert {name for search, name in fired(prometheus) if not search} == before | {alert}
