"""A search and an operator as Prometheus sees them, minute by minute: well, in trouble, and well again."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.chart import CHART

RULES = CHART / "files" / "rules.yaml"
NAN = float("nan")
BEFORE = 70  # minutes before the trouble
AFTER = 100  # minutes after it

_SEARCH = 'namespace="vision",search="digits"'
_CONTROLLER = f'{_SEARCH},instance="10.0.0.1:9464",pod="digits-controller-0"'
_OPERATOR = 'job="kubenas-operator",instance="10.0.0.2:8080"'


@dataclass(frozen=True)
class Gauge:
    """A value, and another one in times of trouble. None: there is no such series then."""

    well: float | None
    trouble: float | None

    def course(self, minutes: int) -> list[float | None]:
        """One value a minute. `minutes`: of trouble."""
        return [self.well] * BEFORE + [self.trouble] * minutes + [self.well] * AFTER


@dataclass(frozen=True)
class Counter:
    """What is counted in a minute, and in a minute of trouble."""

    well: float
    trouble: float

    def course(self, minutes: int) -> list[float | None]:
        """One value a minute. `minutes`: of trouble."""
        value = 0.0
        values: list[float | None] = []
        for added in [self.well] * BEFORE + [self.trouble] * minutes + [self.well] * AFTER:
            value += added
            values.append(value)
        return values


@dataclass(frozen=True)
class Gone:
    """No series in times of trouble. A counter begins anew after it."""

    of: "Gauge | Counter | Gone"

    def course(self, minutes: int) -> list[float | None]:
        """One value a minute. `minutes`: of trouble."""
        values = self.of.course(0)
        after = values[:AFTER] if isinstance(self.of, Counter) else values[BEFORE:]
        return [*values[:BEFORE], *[None] * minutes, *after]


Courses = Mapping[str, Gauge | Counter | Gone]


def always(value: float) -> Gauge:
    """A value that no trouble changes."""
    return Gauge(value, value)


def steadily(added: float) -> Counter:
    """A counter that no trouble changes."""
    return Counter(added, added)


def of_controller(name: str, **labels: str) -> str:
    """A series of the controller."""
    return _series(name, _CONTROLLER, labels)


def of_operator(name: str, *, search: bool = False, **labels: str) -> str:
    """A series of the operator. `search`: about the search."""
    return _series(name, f"{_OPERATOR},{_SEARCH}" if search else _OPERATOR, labels)


def _series(name: str, given: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{','.join([given, *(f'{label}={json.dumps(value)}' for label, value in labels.items())])}}}"


def condition(name: str) -> str:
    """The series of a condition of the search."""
    return of_operator("nas_search_condition", search=True, condition=name)


def workers(state: str) -> str:
    """The series of the workers of its pool, as the operator tells them."""
    return of_operator("nas_pool_workers", search=True, pool="gpu", state=state)


# Eight workers that take ten minutes for a training. Now and then one is lost, or diverges, which is nothing to tell.
CONTROLLER: Courses = {
    of_controller("nas_search_info", algorithm="REINFORCE", space="ConvNet"): always(1),
    of_controller("nas_search_state", state="running"): always(1),
    of_controller("nas_search_state", state="suspended"): always(0),
    of_controller("nas_search_trials", state="leased"): always(8),
    of_controller("nas_search_trials", state="succeeded"): steadily(0.8),
    of_controller("nas_search_trials", state="failed"): always(3),
    of_controller("nas_search_trials_replayed"): always(0),
    of_controller("nas_search_budget_trials"): always(12_800),
    of_controller("nas_search_budget_seconds"): always(NAN),
    of_controller("nas_search_active_seconds"): steadily(60),
    of_controller("nas_search_device_seconds"): steadily(480),
    of_controller("nas_policy_entropy_nats"): always(0.8),
    of_controller("nas_final_trainings", state="pending"): always(0),
    of_controller("nas_final_trainings", state="leased"): always(0),
    of_controller("nas_leases_youngest_seconds"): always(75),
    of_controller("nas_workers", pool="gpu", state="busy"): always(8),
    of_controller("nas_workers", pool="gpu", state="idle"): always(0),
    of_controller("nas_journal_stalled"): always(0),
    of_controller("nas_volume_available_bytes"): always(2e9),
    of_controller("nas_volume_size_bytes"): always(2.1e9),
    of_controller("nas_trials_finished_total", pool="gpu", outcome="succeeded"): steadily(0.8),
    of_controller("nas_trials_finished_total", pool="gpu", outcome="failed"): steadily(1 / 60),
    of_controller("nas_trials_finished_total", pool="", outcome="replayed"): steadily(0),
    of_controller("nas_trial_failures_total", reason="NonFiniteMetric"): steadily(1 / 60),
    of_controller("nas_trial_failures_total", reason="OutOfMemory"): steadily(0),
    of_controller("nas_leases_ended_total", pool="gpu", reason="finished"): steadily(0.8),
    of_controller("nas_leases_ended_total", pool="gpu", reason="expired"): steadily(1 / 60),
    of_controller("nas_leases_ended_total", pool="gpu", reason="lost"): steadily(0),
    of_controller("nas_device_seconds_total", pool="gpu", stage="search"): steadily(480),
}
OPERATOR: Courses = {
    **{condition(name): always(1) for name in ("Ready", "ControllerAvailable", "PoolsReady", "Progressing")},
    **{condition(name): always(0) for name in ("Suspended", "Succeeded", "Failed")},
    of_operator("nas_search_controller_unavailable_seconds", search=True): always(0),
    of_operator("nas_search_lease_duration_seconds", search=True): always(60),
    workers("wanted"): always(8),
    workers("existing"): always(8),
    workers("alive"): always(8),
    of_operator("nas_operator_searches"): always(1),
    of_operator("nas_operator_queue_longest_wait_seconds"): always(0.1),
    of_operator("nas_operator_queue_longest_work_seconds"): always(2),
    of_operator("nas_operator_watch_lag_seconds", kind="NASSearch"): always(0),
    of_operator("nas_operator_watch_lag_seconds", kind="Job"): always(3),
    of_operator("nas_operator_resyncs_total", outcome="done"): steadily(1),
    of_operator("nas_operator_resyncs_total", outcome="failed"): steadily(0),
}
HEALTHY: Courses = {**CONTROLLER, **OPERATOR}


def gone(courses: Courses) -> Courses:
    """The same, with no series in times of trouble."""
    return {name: Gone(course) for name, course in courses.items()}


def check(directory: Path, courses: Courses, minutes: int, expected: Mapping[int, Sequence[Mapping[str, str]]]) -> None:
    """Has promtool evaluate the rules each minute.

    Args:
        directory: for its file.
        courses: what there is.
        minutes: of trouble.
        expected: the labels of the alerts that fire, by the minute in which to look.

    Raises:
        AssertionError: others fire. Has what promtool says.
    """
    tests = [
        {
            "expr": 'ALERTS{alertstate="firing"}',
            "eval_time": f"{minute}m",
            "exp_samples": [
                {"labels": _series("ALERTS", 'alertstate="firing"', alert), "value": 1} for alert in alerts
            ],
        }
        for minute, alerts in expected.items()
    ]
    series = [
        {"series": name, "values": " ".join("_" if value is None else repr(value) for value in course.course(minutes))}
        for name, course in courses.items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    file = directory / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
