"""The dashboards of the chart as Grafana reads them: their JSON, with the variables filled in."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.waiting import wait_for
from tests.monitoring.prometheus import Prometheus

DIRECTORY = Path(__file__).parents[2] / "helm" / "nas-operator" / "dashboards"
NAMES = ("fleet", "search", "pools", "controller", "operator")

# What Grafana fills in, as if the browser showed the last ten minutes and Prometheus scraped every second.
_OF_TIME = {"__rate_interval": "1m", "__range": "10m", "__interval": "1s", "__interval_ms": "1000"}
# What is not a number before the search is over.
_LATER = "nas_final_training_reward_best"
_OPERATOR = ("nas_operator_", "nas_search_condition", "nas_search_controller_", "nas_pool_workers")


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel or of a variable.

    Attributes:
        place: Where it is, to be named if it fails.
        text: PromQL.
        instant: Whether it asks for one moment.
    """

    place: str
    text: str
    instant: bool

    @property
    def of_operator(self) -> bool:
        """Whether it reads metrics of the operator."""
        return any(metric in self.text for metric in _OPERATOR)

    def finds(self, prometheus: Prometheus) -> bool:
        """Whether it returns data: a number, where there can be one."""
        found = prometheus.instant(self.text) if self.instant else prometheus.range(self.text, seconds=60)
        values = [value for series in found for _, value in series.points]
        return bool(values) if _LATER in self.text else any(map(math.isfinite, values))


def model(name: str) -> dict[str, Any]:
    """What the file of a dashboard has."""
    found: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text())
    return found


def panels(name: str) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard, those in rows that are closed included; rows are none."""
    for panel in model(name)["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def values_of_variables(name: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """Values of the variables of a dashboard. `chosen`: of those with one value; the others have all."""
    variables = {one["name"]: one for one in model(name)["templating"]["list"]}
    return {key: chosen[key] if "allValue" not in one else one["allValue"] for key, one in variables.items()}


def queries(name: str, chosen: Mapping[str, str]) -> list[Query]:
    """All queries of a dashboard. `chosen`: values of the variables with one value; the others have all."""
    values = values_of_variables(name, chosen)
    found = []
    for variable in model(name)["templating"]["list"]:
        if variable["type"] == "query":
            [(metric, label)] = re.findall(r"^label_values\((.*), (\w+)\)$", variable["query"])
            found.append(
                Query(f"variable {variable['name']}", filled(f"count by ({label}) ({metric})", values), instant=True)
            )
    for panel in panels(name):
        for target in panel.get("targets", ()):
            place = f"{panel['title']}: {target['legendFormat']}"
            found.append(Query(place, filled(target["expr"], values), target["instant"]))
    return found


def filled(query: str, values: Mapping[str, str]) -> str:
    """A query with the values of its variables."""
    return re.sub(r"\$(\w+)", lambda found: {**values, **_OF_TIME}[found[1]], query)


def wait_for_data(prometheus: Prometheus, waiting: list[Query], timeout: float = 180) -> None:
    """Waits until each query has found something.

    Args:
        prometheus: That is asked.
        waiting: The queries. Those that have found something are taken out.
        timeout: Seconds.

    Raises:
        AssertionError: with those that have not.
    """
    assert waiting

    def all_found() -> bool:
        waiting[:] = [query for query in waiting if not query.finds(prometheus)]
        return not waiting

    try:
        wait_for(all_found, "all queries to find something", timeout)
    except TimeoutError:
        raise AssertionError("\n".join(["found nothing:", *map(str, waiting)])) from None
