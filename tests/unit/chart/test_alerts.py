"""Every alert fires in the trouble that it is about, clears after it, and else is silent (`promtool test rules`)."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.chart.alert_courses import (
    BEFORE,
    CONTROLLER,
    HEALTHY,
    OPERATOR,
    RULES,
    Counter,
    Courses,
    Gauge,
    always,
    check,
    condition,
    gone,
    of_controller,
    of_operator,
    workers,
)

pytestmark = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed: on Debian, apt-get install prometheus"
)

ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
TROUBLE = 100  # minutes
SEARCH = {"namespace": "vision", "search": "digits"}
POOL = {**SEARCH, "pool": "gpu"}
JOB = {"job": "kubenas-operator"}


@dataclass(frozen=True)
class Trouble:
    """What makes an alert fire, with these labels, and what it does to the series."""

    alert: str
    labels: dict[str, str]
    courses: Courses


NOTHING_COMPLETES = {
    of_controller("nas_search_trials", state="succeeded"): always(100),
    of_controller("nas_search_device_seconds"): always(103 * 600),
    of_controller("nas_trials_finished_total", pool="gpu", outcome="succeeded"): Counter(0.8, 0),
    of_controller("nas_leases_ended_total", pool="gpu", reason="finished"): Counter(0.8, 0),
    of_controller("nas_leases_youngest_seconds"): Gauge(75, 1900),
}
NOTHING_TO_TRAIN = {
    of_controller("nas_leases_youngest_seconds"): Gauge(75, float("nan")),
    of_controller("nas_workers", pool="gpu", state="busy"): Gauge(8, 0),
    of_controller("nas_workers", pool="gpu", state="idle"): Gauge(0, 8),
}
NO_WORKERS = {condition("PoolsReady"): Gauge(1, 0), workers("alive"): Gauge(8, 3)}
NO_CONTROLLER = {
    **gone(CONTROLLER),
    **NO_WORKERS,
    condition("ControllerAvailable"): Gauge(1, 0),
    of_operator("nas_search_controller_unavailable_seconds", search=True): Gauge(0, 100),
}
DIVERGES = {
    of_controller("nas_trials_finished_total", pool="gpu", outcome="failed"): Counter(1 / 60, 0.4),
    of_controller("nas_trial_failures_total", reason="NonFiniteMetric"): Counter(1 / 60, 0.4),
}
LOST = {of_controller("nas_leases_ended_total", pool="gpu", reason="expired"): Counter(1 / 60, 0.4)}
KILLED = {of_controller("nas_leases_ended_total", pool="gpu", reason="lost"): Counter(0, 0.4)}
COLLAPSED = {of_controller("nas_policy_entropy_nats"): Gauge(0.8, 0.01)}
FULL = {
    of_controller("nas_volume_available_bytes"): Gauge(2e9, 2e7),
    of_controller("nas_journal_stalled"): Gauge(0, 1),
    condition("ControllerAvailable"): Gauge(1, 0),
    of_operator("nas_search_controller_unavailable_seconds", search=True): Gauge(0, 300),
}
NEARLY_SPENT = {
    of_controller("nas_search_trials", state="succeeded"): Gauge(2000, 12_000),
    of_controller("nas_search_device_seconds"): Gauge(480 * 2000, 480 * 12_000),
}

TROUBLES = [
    Trouble("NASControllerDown", SEARCH, NO_CONTROLLER),
    Trouble("NASNoCompletions", SEARCH, NOTHING_COMPLETES),
    Trouble("NASNoCompletions", SEARCH, NOTHING_TO_TRAIN),
    Trouble("NASLeasesExpiring", POOL, LOST),
    Trouble("NASLeasesExpiring", POOL, KILLED),
    Trouble("NASWorkersPending", POOL, NO_WORKERS),
    Trouble("NASEntropyCollapsed", SEARCH, COLLAPSED),
    Trouble("NASRewardsNotFinite", SEARCH, DIVERGES),
    Trouble("NASJournalVolumeFilling", SEARCH, {of_controller("nas_volume_available_bytes"): Gauge(2e9, 2e8)}),
    Trouble("NASJournalStalled", SEARCH, {of_controller("nas_journal_stalled"): Gauge(0, 1)}),
    Trouble("NASBudgetNearlySpent", {**SEARCH, "bound": "maxTrials"}, NEARLY_SPENT),
    Trouble(
        "NASBudgetNearlySpent",
        {**SEARCH, "bound": "maxDuration"},
        {
            of_controller("nas_search_budget_seconds"): always(36_000),
            of_controller("nas_search_active_seconds"): Gauge(7_200, 35_000),
        },
    ),
    Trouble("NASOperatorDown", JOB, gone(OPERATOR)),
    Trouble("NASOperatorStalled", JOB, {of_operator("nas_operator_queue_longest_wait_seconds"): Gauge(0.1, 400)}),
    Trouble("NASOperatorStalled", JOB, {of_operator("nas_operator_queue_longest_work_seconds"): Gauge(2, 400)}),
    Trouble("NASOperatorStalled", JOB, {of_operator("nas_operator_watch_lag_seconds", kind="Job"): Gauge(3, 150)}),
    Trouble(
        "NASOperatorStalled",
        JOB,
        {
            of_operator("nas_operator_resyncs_total", outcome="done"): Counter(1, 0),
            of_operator("nas_operator_resyncs_total", outcome="failed"): Counter(0, 1),
        },
    ),
]
each_trouble = pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.alert)


def test_there_is_a_trouble_for_every_alert() -> None:
    assert {trouble.alert for trouble in TROUBLES} == set(ALERTS)


@each_trouble
def test_it_fires_while_there_is_trouble_and_clears_after_it(trouble: Trouble, tmp_path: Path) -> None:
    alert = {"alertname": trouble.alert, "severity": ALERTS[trouble.alert]["labels"]["severity"], **trouble.labels}
    end = BEFORE + TROUBLE
    expected: dict[int, list[Any]] = {BEFORE - 1: [], end - 60: [alert], end - 1: [alert], end + 70: [], end + 95: []}
    check(tmp_path, {**HEALTHY, **trouble.courses}, TROUBLE, expected)


@each_trouble
def test_a_trouble_of_a_minute_is_nothing_to_tell(trouble: Trouble, tmp_path: Path) -> None:
    silent: dict[int, list[Any]] = {minute: [] for minute in range(BEFORE, BEFORE + 70)}
    check(tmp_path, {**HEALTHY, **trouble.courses}, 1, silent)


RUNNING = of_controller("nas_search_state", state="running")
NORMAL = {
    "a_search_that_is_suspended": {
        RUNNING: Gauge(1, 0),
        **NOTHING_TO_TRAIN,
        **COLLAPSED,
        **NEARLY_SPENT,
        condition("Suspended"): Gauge(0, 1),
        workers("alive"): Gauge(8, 0),
    },
    "losses_of_a_search_that_is_suspended": {RUNNING: always(0), **LOST},
    "divergence_of_a_search_that_has_ended": {RUNNING: always(0), **DIVERGES},
    "a_search_that_has_ended_and_its_controller_has_gone": {
        **gone(CONTROLLER),
        condition("ControllerAvailable"): Gauge(1, 0),
        condition("Succeeded"): Gauge(0, 1),
        workers("alive"): Gauge(8, 0),
    },
    "a_search_that_was_deleted": {
        **gone(CONTROLLER),
        **gone({name: course for name, course in OPERATOR.items() if "digits" in name}),
    },
    "trainings_that_take_longer_than_others": {of_controller("nas_leases_youngest_seconds"): Gauge(75, 1700)},
    "a_second_stage": {
        **NOTHING_COMPLETES,
        of_controller("nas_final_trainings", state="leased"): Gauge(0, 8),
        of_controller("nas_search_trials", state="succeeded"): Gauge(12_000 - 3, 12_800 - 3),
        of_controller("nas_search_device_seconds"): always(480 * 12_000),
        of_controller("nas_search_budget_trials"): Gauge(100_000, 12_800),
    },
    "an_algorithm_without_a_policy": {of_controller("nas_policy_entropy_nats"): always(float("nan"))},
    "a_search_without_a_bound": {of_controller("nas_search_budget_trials"): always(float("nan"))},
    "a_controller_that_is_gone_for_less_than_a_lease": {
        **NO_CONTROLLER,
        of_operator("nas_search_lease_duration_seconds", search=True): always(600),
    },
    "workers_that_give_their_leases_back": {
        of_controller("nas_leases_ended_total", pool="gpu", reason="released"): Counter(0, 2)
    },
}


@pytest.mark.parametrize("courses", NORMAL.values(), ids=NORMAL.keys())
def test_nothing_is_told_of(courses: Courses, tmp_path: Path) -> None:
    check(tmp_path, {**HEALTHY, **courses}, TROUBLE, {minute: [] for minute in range(0, BEFORE + TROUBLE + 95, 10)})


def test_no_operator_is_missed_where_there_never_was_one(tmp_path: Path) -> None:
    check(tmp_path, CONTROLLER, TROUBLE, {minute: [] for minute in range(0, BEFORE + TROUBLE + 95, 10)})


def test_a_policy_may_be_sure_near_the_end(tmp_path: Path) -> None:
    told = [{"alertname": "NASBudgetNearlySpent", "severity": "info", **SEARCH, "bound": "maxTrials"}]
    check(tmp_path, {**HEALTHY, **COLLAPSED, **NEARLY_SPENT}, TROUBLE, {BEFORE + TROUBLE - 1: told})


def test_a_full_volume_is_not_told_as_a_controller_that_is_down(tmp_path: Path) -> None:
    told = [
        {"alertname": "NASJournalStalled", "severity": "critical", **SEARCH},
        {"alertname": "NASJournalVolumeFilling", "severity": "warning", **SEARCH},
    ]
    check(tmp_path, {**HEALTHY, **FULL}, TROUBLE, {BEFORE + TROUBLE - 1: told})


def test_a_new_search_has_an_hour_for_a_training_until_one_has_ended(tmp_path: Path) -> None:
    new = {
        of_controller("nas_search_trials", state="succeeded"): always(0),
        of_controller("nas_search_trials", state="failed"): always(0),
        of_controller("nas_search_device_seconds"): always(0),
    }
    youngest = of_controller("nas_leases_youngest_seconds")
    silent: dict[int, list[Any]] = {BEFORE + TROUBLE - 1: []}
    check(tmp_path, {**HEALTHY, **new, youngest: Gauge(75, 3 * 3600)}, TROUBLE, silent)
    alert = {"alertname": "NASNoCompletions", "severity": "warning", **SEARCH}
    check(tmp_path, {**HEALTHY, **new, youngest: Gauge(75, 3 * 3600 + 1)}, TROUBLE, {BEFORE + TROUBLE - 1: [alert]})
