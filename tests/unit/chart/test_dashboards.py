"""The dashboards of the chart: generated, complete, and of metrics that there are."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.dashboards import DIRECTORY, NAMES, model, panels, queries
from tools.dashboards import __main__ as generator

METRICS = Path(__file__).parents[3] / "docs" / "metrics.md"
_CHOSEN = {"datasource": "prometheus", "namespace": "vision", "search": "digits", "price": "1"}
_MOST = 256 * 1024  # bytes that `kubectl apply` can have in the annotation with what was applied


def every_panel() -> list[Any]:
    return [pytest.param(panel, id=f"{name}: {panel['title']}") for name in NAMES for panel in panels(name)]


def test_they_are_what_their_code_says() -> None:
    assert {path: path.read_text() for path in DIRECTORY.glob("*.json")} == generator.dashboards()
    assert {path.stem for path in generator.dashboards()} == set(NAMES)


def test_one_that_is_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "DIRECTORY", tmp_path)
    monkeypatch.setattr("sys.argv", ["dashboards"])
    assert generator.main() == 0
    monkeypatch.setattr("sys.argv", ["dashboards", "--check"])
    assert generator.main() == 0
    (tmp_path / "fleet.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    capsys.readouterr()
    assert generator.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "fleet.json is not up to date: make manifests",
        "old.json is not up to date: make manifests",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_config_map_holds_it(name: str) -> None:
    assert (DIRECTORY / f"{name}.json").stat().st_size < _MOST


@pytest.mark.parametrize("name", NAMES)
def test_its_panels_fill_the_grid_and_have_numbers_of_their_own(name: str) -> None:
    parts = model(name)["panels"]
    numbers = [part["id"] for part in parts] + [panel["id"] for part in parts for panel in part.get("panels", ())]
    assert len(numbers) == len(set(numbers))
    for group in ([part for part in parts if not part.get("collapsed")], *(part.get("panels", ()) for part in parts)):
        cells = [
            {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            for place in (part["gridPos"] for part in group)
        ]
        assert not any(one & other for one, other in combinations(cells, 2)), "panels overlap"
        assert all(x < 24 for taken in cells for x, _ in taken), "a panel is cut off"


@pytest.mark.parametrize("panel", every_panel())
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    if panel["type"] == "text":
        assert panel["options"]["content"]
        return
    assert panel["description"].endswith(".")
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    if panel["type"] == "table":
        units = [one for one in overrides if any(part["id"] == "unit" for part in one["properties"])]
        assert len(units) >= len(panel["targets"]) - 1, "each column but that of a label has one"
    else:
        assert panel["options"]["yAxis"]["unit"] if panel["type"] == "heatmap" else defaults["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("name", NAMES)
def test_its_queries_are_of_metrics_that_there_are(name: str) -> None:
    metrics = re.findall(r"^\| `(nas_\w+)` \| (\w+)", METRICS.read_text(), re.MULTILINE)
    known = {series for metric, kind in metrics for series in (f"{metric}_{p}" for p in _parts(kind))} | {
        metric for metric, kind in metrics if kind != "histogram"
    }
    for query in queries(name, _CHOSEN):
        assert "$" not in query.text, "a variable is not filled in"
        assert set(re.findall(r"\bnas_\w+", query.text)) <= known, query


def _parts(kind: str) -> tuple[str, ...]:
    return ("bucket", "sum", "count") if kind == "histogram" else ()


def test_each_can_be_reached_from_all_others() -> None:
    """By its tag, with what is chosen there."""
    models = {name: model(name) for name in NAMES}
    assert len({found["uid"] for found in models.values()}) == len(NAMES)
    for found in models.values():
        [link] = found["links"]
        assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
        assert set(link["tags"]) <= set(found["tags"])
    linked = {uid for path in DIRECTORY.glob("*.json") for uid in re.findall(r"/d/([\w-]+)", path.read_text())}
    assert linked
    assert linked <= {found["uid"] for found in models.values()}
