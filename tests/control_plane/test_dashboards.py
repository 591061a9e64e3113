"""Every query of every dashboard, against a Prometheus that scrapes an operator and a search that runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control_plane.operator_process import OperatorProcess
from tests.control_plane.searches import Namespace, digits
from tests.monitoring.dashboards import NAMES, queries, wait_for_data
from tests.monitoring.local_search import running_search
from tests.monitoring.prometheus import Prometheus, Target, needs_prometheus, running_prometheus

pytestmark = needs_prometheus


@pytest.fixture
def prometheus(space: Namespace, operator: OperatorProcess, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes the operator, with a search on simulated nodes, and a `nas run` with real workers."""
    space.apply(digits())
    with running_search(tmp_path) as url:
        targets = [Target("controllers", url), Target("operator", f"{operator.url}/metrics")]
        with running_prometheus(tmp_path, targets) as prometheus:
            yield prometheus


def test_every_query_returns_data(prometheus: Prometheus) -> None:
    chosen = {"datasource": "test", "namespace": "default", "search": "tiny", "price": "2.50"}
    wait_for_data(prometheus, [query for name in NAMES for query in queries(name, chosen)])
