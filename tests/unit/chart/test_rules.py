"""The rules ask about metrics that there are, and every alert says what to do and has a runbook."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.unit.chart.alert_courses import RULES
from tools.chart import ROOT

DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"
EVERY: list[dict[str, Any]] = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in EVERY if "alert" in rule]
RECORDED = {rule["record"] for rule in EVERY if "record" in rule}
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def documented_metrics() -> set[str]:
    """What docs/metrics.md lists, which tests/unit/docs holds to what there is, and the parts of histograms."""
    rows = re.findall(r"^\| `(nas_\w+)` \| (\w+) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    parts = {f"{name}_{part}" for name, kind in rows if kind == "histogram" for part in ("sum", "count", "bucket")}
    return {name for name, _ in rows} | parts


def test_they_ask_about_metrics_that_there_are() -> None:
    asked = {name for rule in EVERY for name in re.findall(r"(?<![:\w])nas_\w+(?!\w*:)", rule["expr"])}
    recorded = {name for rule in EVERY for name in re.findall(r"\w+(?::\w+)+", rule["expr"])}
    assert len(asked) > 15
    assert asked <= documented_metrics()
    assert recorded <= RECORDED


def test_no_alert_has_the_name_of_another() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


@each_alert
def test_it_says_how_bad_it_is_what_has_happened_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["alert"].startswith("NAS")
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert annotations["summary"].endswith(".")
    assert len(annotations["summary"]) < 120
    assert len(annotations["description"]) > len(annotations["summary"])
    # An alert that fires and clears at every other evaluation would be no use.
    assert re.fullmatch(r"[1-9]\d*m", alert["for"])


@pytest.mark.parametrize("alert", [a for a in ALERTS if "claim" in a["annotations"]["description"]])
def test_where_there_is_a_claim_is_said_since_nas_run_has_none(alert: dict[str, Any]) -> None:
    assert re.search(r"\bon a cluster,\s+enlarge the\s+claim ", alert["annotations"]["description"])


@each_alert
def test_it_has_a_runbook(alert: dict[str, Any]) -> None:
    page = ROOT / alert["annotations"]["runbook_url"]
    assert page == RUNBOOKS / f"{alert['alert']}.md"
    text = page.read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    severity = {"critical": "Critical", "warning": "Warning", "info": "For information"}[alert["labels"]["severity"]]
    assert text.splitlines()[2].startswith(f"{severity}. ")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["What it means", "How to look", "What to do"]
    commands = text.partition("## How to look")[2].partition("## What to do")[0]
    assert re.search(r"^    (kubectl|helm) ", commands, re.MULTILINE)


def test_every_runbook_has_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.iterdir()} == {alert["alert"] for alert in ALERTS}


def test_the_page_lists_them_all() -> None:
    text = (DOCS / "alerts.md").read_text()
    listed = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", text, re.MULTILINE)
    assert sorted(listed) == sorted((a["alert"], a["alert"], a["labels"]["severity"]) for a in ALERTS)
    assert set(re.findall(r"^\| `(\w+:[\w:]+)` \|", text, re.MULTILINE)) == RECORDED


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: apt-get install prometheus")
def test_prometheus_reads_them() -> None:
    command = ["promtool", "check", "rules", "--lint-fatal", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
