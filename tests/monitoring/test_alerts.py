"""In a real Prometheus every alert of a controller fires in its trouble, in no other, and clears when that is mended.

The controllers are real, and so is what goes wrong with them; their workers are played. All of it happens at the same
time, to a search each. What only an operator can tell is in tests/control_plane/test_alerts.py.
"""

import json
import math
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from tests.cluster.waiting import wait_for
from tests.integration.controller_process import ControllerProcess
from tests.integration.prometheus_text import url_in
from tests.integration.test_controller_storage import fill, suspend
from tests.integration.trial_client import Client
from tests.monitoring.pace import quick_rules
from tests.monitoring.prometheus import Alert, Prometheus, Target, needs_prometheus, running_prometheus

pytestmark = needs_prometheus

# A policy of one decision learns quickly. Workers that say nothing are soon taken for gone.
SPEC = """\
  searchSpace: {type: Discrete, discrete: {choices: [{name: width, values: [1, 2, 3, 4]}]}}
  trainer: {task: "mine:train"}
  reward: {metric: val_accuracy, exponent: 1}
  controller:
    duplicates: Train
    algorithm: {type: REINFORCE, reinforce: {learningRate: 0.01, entropyWeight: ENTROPY_WEIGHT}}
    parallelism: {batchSize: 4}
    lease: {duration: LEASE}
  budget: {maxTrials: TRIALS}"""


@dataclass
class Trouble:
    """A search that gets into trouble, and out of it."""

    alerts: ClassVar[tuple[str, ...]]
    lease: ClassVar[str] = "3s"
    trials: ClassVar[int] = 10_000
    seconds: ClassVar[float] = 1
    room: ClassVar[str] = "64m"
    """On the volume of its journal."""

    directory: Path
    controller: ControllerProcess = field(init=False)
    client: Client = field(init=False)
    has_volume: bool = field(init=False)
    """Whether its journal is on a volume of its own, and not on the disk of the machine, which may be rather full."""

    def __post_init__(self) -> None:
        self.directory.mkdir()
        volume = self.directory / "volume"
        volume.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.room}", "tmpfs", str(volume)]
        self.has_volume = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        self.controller = ControllerProcess(self.directory, f"default/{self.name}", state=volume, metrics="127.0.0.1:0")

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def start(self, entropy_weight: float = 0) -> None:
        """Starts the controller. It has no worker yet."""
        spec = SPEC.replace("LEASE", self.lease).replace("TRIALS", str(self.trials))
        self.controller.write_manifest(spec.replace("ENTROPY_WEIGHT", str(entropy_weight)))
        self.controller.start()
        # Where Prometheus looks for it, also when it is started again.
        self.controller.metrics = urlsplit(url_in(self.controller.log.read_text())).netloc
        self.client = Client(self.controller)

    def train(self, trials: int, accuracy: Callable[[int], float] = lambda _: 0.5) -> None:
        """Trains so many architectures, each in `seconds`. `accuracy`: what comes of a width."""
        self.client.register()
        for _ in range(trials):
            assignment = self.client.lease().assignment
            [width] = json.loads(assignment.architecture)["decisions"]
            self.client.complete(
                assignment.lease,
                accuracy=accuracy(width["value"]),
                train_seconds=self.seconds,
                device_seconds=self.seconds,
            )

    def begin(self) -> None:
        raise NotImplementedError

    def mend(self) -> None:
        raise NotImplementedError


class Diverging(Trouble):
    """Trainings end with NaN."""

    alerts = ("NASRewardsNotFinite",)

    def begin(self) -> None:
        self.train(4, lambda _: math.nan)

    def mend(self) -> None:
        self.train(4)


class Losing(Trouble):
    """Workers vanish with what they train."""

    alerts = ("NASLeasesExpiring",)
    lease = "1s"

    def begin(self) -> None:
        for worker in ("a", "b", "c", "d"):
            self.client.register(worker)
            self.client.lease(worker)

    def mend(self) -> None:
        self.train(1)


class Hanging(Trouble):
    """A training does not end."""

    alerts = ("NASNoCompletions",)
    lease = "10m"
    trials = 3

    def begin(self) -> None:
        self.train(2)
        self.hangs = self.client.lease().assignment.lease

    def mend(self) -> None:
        self.client.complete(self.hangs)


class Collapsing(Trouble):
    """One architecture is so much better than all others that the policy proposes nothing else."""

    alerts = ("NASEntropyCollapsed",)
    lease = "10m"
    seconds = 3600

    def begin(self) -> None:
        """Another worker trains all the while: however long this takes here, there are completions to come."""
        self.client.register("other")
        self.client.lease("other")
        self.train(3)  # the rest of its batch
        while self.entropy() > 0.03:
            continue

    def mend(self) -> None:
        """As its runbook says."""
        self.controller.stop()
        self.start(entropy_weight=1)
        while self.entropy() < 0.1:
            continue

    def entropy(self) -> float:
        """After another update."""
        updates = self.client.summary().updates
        self.train(4, lambda width: float(width == 1))
        summary = self.client.wait_for_summary(lambda summary: summary.updates > updates)
        return summary.entropy


class Ending(Trouble):
    """Almost the whole budget is spent."""

    alerts = ("NASBudgetNearlySpent",)
    trials = 10

    def begin(self) -> None:
        self.train(9)

    def mend(self) -> None:
        self.train(1)


class Filling(Trouble):
    """The volume of the journal is full."""

    alerts = ("NASJournalVolumeFilling", "NASJournalStalled")
    room = "2m"

    def begin(self) -> None:
        assert self.controller.state is not None
        fill(self.controller.state / "ballast")
        suspend(self.controller)

    def mend(self) -> None:
        assert self.controller.state is not None
        (self.controller.state / "ballast").unlink()


TROUBLES = (Diverging, Losing, Hanging, Collapsing, Ending, Filling)


@pytest.fixture
def troubles(tmp_path: Path) -> Iterator[list[Trouble]]:
    """Searches that run, all well yet. The one whose volume fills is left out where nothing may be mounted."""
    made: list[Trouble] = []
    try:
        for kind in TROUBLES:
            made.append(kind(tmp_path / kind.__name__))
        troubles = [trouble for trouble in made if trouble.has_volume or not isinstance(trouble, Filling)]
        for trouble in troubles:
            trouble.start()
        yield troubles
    finally:
        for trouble in made:
            trouble.controller.end()
            if trouble.has_volume:
                subprocess.run(["umount", "--lazy", str(trouble.controller.state)], check=True)


@pytest.fixture
def prometheus(troubles: list[Trouble], tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes them all."""
    targets = [Target("controllers", f"http://{trouble.controller.metrics}/metrics") for trouble in troubles]
    with running_prometheus(tmp_path, targets, [quick_rules(tmp_path)]) as prometheus:
        yield prometheus


def firing(prometheus: Prometheus) -> dict[tuple[str, str], Alert]:
    """The alerts that fire, by search and name."""
    return {(a.labels["search"], a.name): a for a in prometheus.alerts() if a.state == "firing"}


def fired(prometheus: Prometheus) -> set[tuple[str, str]]:
    """The alerts that have ever fired, by search and name."""
    found = prometheus.range('ALERTS{alertstate="firing"}', seconds=1200)
    return {(series.labels["search"], series.labels["alertname"]) for series in found}


@pytest.mark.timeout(1200)
def test_every_alert_fires_in_its_trouble_alone_and_clears_when_that_is_mended(
    troubles: list[Trouble], prometheus: Prometheus
) -> None:
    assert prometheus.alerts() == []
    for trouble in troubles:
        trouble.begin()
    expected = {(trouble.name, alert) for trouble in troubles for alert in trouble.alerts}

    wait_for(lambda: fired(prometheus) >= expected, f"the alerts {expected} to fire", 300)
    for (search, _), alert in firing(prometheus).items():
        assert f"default/{search}" in alert.annotations["summary"]
        assert not re.search(r"error expanding|%!|<no value>", alert.annotations["description"])
    for trouble in troubles:
        trouble.mend()
    wait_for(lambda: not firing(prometheus), "all alerts to clear", 300)
    assert fired(prometheus) == expected
    if len(troubles) < len(TROUBLES):
        pytest.skip("all is well, but no volume has filled: no permission to mount a small file system")
