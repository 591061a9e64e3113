"""A real Prometheus on loopback, as Debian packages it: what it scrapes, what it answers, which alerts it has."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.waiting import wait_for

_PATIENCE = 180.0  # seconds; only a test that fails waits so long

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="Prometheus is not installed: on Debian, apt-get install prometheus (.ci/run does it)",
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped.

    Attributes:
        job: Its job.
        url: Of its metrics, such as http://127.0.0.1:9464/metrics.
        labels: That its series get, where they do not have them themselves.
    """

    job: str
    url: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """What a query has found, or a part of it.

    Attributes:
        labels: Its labels, its name as `__name__` among them.
        points: Unix seconds and value of each point, one alone for an instant.
    """

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def value(self) -> float:
        """The last value."""
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is not inactive.

    Attributes:
        name: Of its rule.
        state: "pending" or "firing".
        labels: Its labels.
        annotations: With their templates filled in.
    """

    name: str
    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class QueryError(Exception):
    """Prometheus refuses a query. Says what it answered."""


class Prometheus:
    """One that runs. `url` is that of its API and its web page, without a slash at the end."""

    def __init__(self, url: str) -> None:
        self.url = url

    def instant(self, query: str) -> list[Series]:
        """What a query finds now.

        Raises:
            QueryError: it cannot be run.
        """
        found = self._ask("/api/v1/query", query=query)
        if found["resultType"] == "scalar":
            return [Series({}, [_point(found["result"])])]
        return [Series(series["metric"], [_point(series["value"])]) for series in found["result"]]

    def range(self, query: str, seconds: float, step: float = 1.0) -> list[Series]:
        """What a query finds at each `step` of the last `seconds`.

        Raises:
            QueryError: it cannot be run.
        """
        now = time.time()
        found = self._ask("/api/v1/query_range", query=query, start=now - seconds, end=now, step=step)
        return [Series(series["metric"], [_point(point) for point in series["values"]]) for series in found["result"]]

    def alerts(self) -> list[Alert]:
        """Those that are pending or firing."""
        found = self._ask("/api/v1/alerts")["alerts"]
        return [Alert(a["labels"]["alertname"], a["state"], a["labels"], a["annotations"]) for a in found]

    def ready(self) -> bool:
        """Whether it answers queries."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=_PATIENCE):
                return True
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return False

    def _ask(self, path: str, **parameters: object) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(
                f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=_PATIENCE
            ) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(f"{path} {parameters}: {error.read().decode()}") from error
        return data


@contextmanager
def running_prometheus(
    directory: Path,
    targets: Sequence[Target] = (),
    rules: Sequence[Path] = (),
    discovering: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Prometheus]:
    """A Prometheus for the duration of the context. It has scraped all of `targets` when the context begins.

    It scrapes each second, and as often evaluates the rules that do not say how often they want to be.

    Args:
        directory: For its configuration, its data and its log.
        targets: All of them must be up.
        rules: Files of rules.
        discovering: Scrape configurations that find targets of their own, sooner or later.

    Raises:
        AssertionError: it does not start. Has its log.
        TimeoutError: a target is not up in time.
    """
    configuration = directory / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration(targets, rules, discovering)))
    log = directory / "prometheus.log"
    options = [f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'prometheus'}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["prometheus", *options, "--web.listen-address=127.0.0.1:0"], stdout=output, stderr=output
        )
    try:
        prometheus = Prometheus(wait_for(lambda: _url(process, log), "the port of Prometheus", _PATIENCE))
        wait_for(prometheus.ready, "Prometheus to be ready", _PATIENCE)
        wait_for(lambda: len(prometheus.instant("up == 1")) >= len(targets), f"scrapes of {targets}", _PATIENCE)
        yield prometheus
    finally:
        process.kill()
        process.wait()


def _configuration(
    targets: Sequence[Target], rules: Sequence[Path], discovering: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    jobs: dict[str, list[Target]] = {}
    for target in targets:
        jobs.setdefault(target.job, []).append(target)
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path.resolve()) for path in rules],
        "scrape_configs": [
            *(
                {"job_name": job, "honor_labels": True, "static_configs": [_static(target) for target in of_job]}
                for job, of_job in jobs.items()
            ),
            *discovering,
        ],
    }


def _static(target: Target) -> dict[str, Any]:
    url = urllib.parse.urlsplit(target.url)
    return {"targets": [url.netloc], "labels": {"__metrics_path__": url.path, **target.labels}}


def _url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Where it listens; empty if it does not yet."""
    said = log.read_text()
    assert process.poll() is None, f"Prometheus ended: {said}"
    found = re.search(r'msg="Listening on".* address=(\S+)', said)
    return f"http://{found[1]}" if found else ""


def _point(point: Sequence[Any]) -> tuple[float, float]:
    return float(point[0]), float(point[1])
