"""Every query and panel of the dashboards about a search that runs, against a Prometheus that scrapes it."""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.waiting import wait_for
from tests.monitoring.dashboards import panels, queries, wait_for_data
from tests.monitoring.local_search import running_search, search_in_final_training
from tests.monitoring.picture import draw_dashboard
from tests.monitoring.prometheus import Prometheus, Target, needs_prometheus, running_prometheus

pytestmark = needs_prometheus

CHOSEN = {"datasource": "test", "namespace": "default", "search": "tiny", "price": "2.50"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes a `nas run` that goes on for longer than the tests."""
    directory = tmp_path_factory.mktemp("dashboards")
    with running_search(directory) as url, running_prometheus(directory, [Target("controllers", url)]) as prometheus:
        yield prometheus


@pytest.mark.parametrize("name", ["fleet", "search", "pools", "controller"])
def test_every_query_about_searches_returns_data(prometheus: Prometheus, name: str) -> None:
    """Those of the operator's metrics are in tests/control_plane."""
    wait_for_data(prometheus, [query for query in queries(name, CHOSEN) if not query.of_operator])


@pytest.mark.parametrize("name", ["fleet", "search", "pools", "controller"])
def test_a_dashboard_is_drawn_as_a_picture_with_all_its_panels(prometheus: Prometheus, name: str) -> None:
    figure = draw_dashboard(prometheus, name, CHOSEN, seconds=60)
    figure.savefig(io.BytesIO(), format="png")
    titles = [text.get_text() for axes in figure.axes for text in axes.texts]
    for panel in panels(name):
        assert panel["title"] in titles
    curves = [axis for axes in figure.axes for axis in axes.child_axes if axis.lines or axis.collections]
    assert curves


def test_the_best_final_training_is_a_number_once_one_has_ended(tmp_path: Path) -> None:
    """Before, there is none: the searches of the other tests have no second stage."""
    [asked] = [query for query in queries("search", CHOSEN) if "nas_final_training_reward_best" in query.text]
    with (
        search_in_final_training(tmp_path) as url,
        running_prometheus(tmp_path, [Target("controllers", url)]) as prometheus,
    ):

        def rewards() -> list[float]:
            return [s.value for s in prometheus.instant(asked.text) if math.isfinite(s.value)]

        found = wait_for(rewards, "a final training to be counted", 180)
        assert found == [pytest.approx(0.5**3)]  # of its accuracy, by spec.reward.exponent
