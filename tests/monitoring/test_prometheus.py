"""The Prometheus of these tests: it scrapes what runs, answers queries and has the alerts of its rules."""

from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.waiting import wait_for
from tests.integration.controller_process import ControllerProcess
from tests.integration.prometheus_text import url_in
from tests.monitoring.prometheus import Prometheus, QueryError, Target, needs_prometheus, running_prometheus

pytestmark = needs_prometheus

_RULES = {
    "groups": [
        {
            "name": "test",
            "rules": [
                {"record": "search:waiting", "expr": 'nas_search_trials{state="pending"}'},
                {
                    "alert": "NoWorkers",
                    "expr": "sum by (search) (nas_workers) == 0",
                    "annotations": {"summary": "{{ $labels.search }} has no workers"},
                },
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes a controller without workers."""
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "rules.yml").write_text(yaml.safe_dump(_RULES))
    controller = ControllerProcess(directory)
    controller.metrics = "127.0.0.1:0"
    controller.write_manifest("  searchSpace: {convNet: {}}")
    controller.start()
    try:
        target = Target("controllers", url_in(controller.log.read_text()), {"team": "vision"})
        with running_prometheus(directory, [target], [directory / "rules.yml"]) as prometheus:
            yield prometheus
    finally:
        controller.kill()


def test_it_has_scraped_its_targets(prometheus: Prometheus) -> None:
    [up] = prometheus.instant("max_over_time(up[1m])")
    assert up.value == 1
    assert (up.labels["job"], up.labels["team"]) == ("controllers", "vision")


def test_it_answers_for_a_range_of_time(prometheus: Prometheus) -> None:
    def two_scrapes() -> bool:
        [up] = prometheus.range("up", seconds=30)
        return len(up.points) >= 2

    wait_for(two_scrapes, "a second scrape")


def test_a_scalar_is_a_series_without_labels(prometheus: Prometheus) -> None:
    [one] = prometheus.instant("scalar(count(up))")
    assert (one.labels, one.value) == ({}, 1)


def test_what_finds_nothing_is_empty(prometheus: Prometheus) -> None:
    assert prometheus.instant("nas_no_such_metric") == []


def test_a_query_that_is_none_is_refused(prometheus: Prometheus) -> None:
    with pytest.raises(QueryError, match="parse error"):
        prometheus.instant("sum by nothing")


def test_it_evaluates_rules(prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.instant("search:waiting"), "the recorded series")
    [alert] = wait_for(prometheus.alerts, "the alert")
    assert (alert.name, alert.state) == ("NoWorkers", "firing")
    assert alert.annotations == {"summary": f"{alert.labels['search']} has no workers"}
