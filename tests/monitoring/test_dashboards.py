"""Every query of the dashboards about a search that runs, against a Prometheus that scrapes it."""

from collections.abc import Iterator

import pytest

from tests.monitoring.dashboards import queries, wait_for_data
from tests.monitoring.local_search import running_search
from tests.monitoring.prometheus import Prometheus, Target, needs_prometheus, running_prometheus

pytestmark = needs_prometheus


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes a `nas run` that goes on for longer than the tests."""
    directory = tmp_path_factory.mktemp("dashboards")
    with running_search(directory) as url, running_prometheus(directory, [Target("controllers", url)]) as prometheus:
        yield prometheus


@pytest.mark.parametrize("name", ["fleet", "search", "pools", "controller"])
def test_every_query_about_searches_returns_data(prometheus: Prometheus, name: str) -> None:
    """Those of the operator's metrics are in tests/control_plane."""
    chosen = {"datasource": "test", "namespace": "default", "search": "tiny", "price": "2.50"}
    wait_for_data(prometheus, [query for query in queries(name, chosen) if not query.of_operator])
