"""Operator: does it keep up, does it fail, does it hear of everything?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import colours
from tools.dashboards.board import NAMESPACE_OF_CONDITIONS, Row, board
from tools.dashboards.colours import BAD, GOOD, WARNING, ZERO_IS_GOOD
from tools.dashboards.panels import Series, areas, bars, heat, lines, stat_panel
from tools.dashboards.queries import buckets, quantile

_SEARCHES = 'namespace=~"$namespace"'
# Metrics of the process have no name of ours; the operator is the target that has one.
_OWN = "* on (job, instance) group_left () (nas_operator_searches * 0 + 1)"
_FAILED = 'sum(rate(nas_operator_reconciles_total{outcome="failed"}[$__rate_interval]))'


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        "kubenas-operator",
        "Operator",
        "Does the operator keep up, does it fail, does it hear of everything?",
        [NAMESPACE_OF_CONDITIONS],
        [_NOW, _RECONCILIATIONS, _QUEUE, _WATCHES, _SEARCHES_ROW, _PROCESS],
    )


_NOW = Row(
    "Now",
    [
        stat_panel("Searches", "That there are.", "sum(nas_operator_searches)", "none"),
        stat_panel(
            "Waiting",
            "Searches that are due, and wait for one of the operator's workers.",
            "sum(nas_operator_queue_depth)",
            "none",
            steps=((None, GOOD), (10, WARNING), (100, BAD)),
        ),
        stat_panel(
            "Longest wait",
            "For how long the first of these has been due. A healthy operator begins at once.",
            "max(nas_operator_queue_longest_wait_seconds)",
            "s",
            steps=((None, GOOD), (10, WARNING), (60, BAD)),
        ),
        stat_panel(
            "Longest work",
            "For how long the first of the searches in work has been worked on. It is cut short after some time.",
            "max(nas_operator_queue_longest_work_seconds)",
            "s",
            steps=((None, GOOD), (30, WARNING), (120, BAD)),
        ),
        stat_panel(
            "Failed reconciliations",
            "Share of those lately. Each is tried again.",
            f"{_FAILED} / sum(rate(nas_operator_reconciles_total[$__rate_interval]))",
            "percentunit",
            steps=((None, GOOD), (0.01, WARNING), (0.2, BAD)),
            decimals=1,
            nothing="none were due",
        ),
        stat_panel(
            "Watch lag",
            "For how long a watch has not told of what a list has shown. The list makes up for it, later.",
            "max(nas_operator_watch_lag_seconds)",
            "s",
            steps=ZERO_IS_GOOD,
        ),
    ],
)

_RECONCILIATIONS = Row(
    "Reconciliations",
    [
        lines(
            "Reconciliations in a second",
            "By outcome. A failed one is tried again; the operator's log has its error.",
            "ops",
            Series("sum by (outcome) (rate(nas_operator_reconciles_total[$__rate_interval]))", "{{outcome}}"),
            width=8,
            colours=colours.OUTCOMES,
        ),
        heat(
            "Duration of reconciliations",
            "From what is observed to the last object written.",
            "s",
            buckets("nas_operator_reconcile_duration_seconds", ""),
            width=8,
        ),
        lines(
            "Duration of reconciliations, quantiles",
            "Most are a comparison that changes nothing. Those that make many Jobs take seconds.",
            "s",
            Series(quantile(0.5, "nas_operator_reconcile_duration_seconds", ""), "median"),
            Series(quantile(0.99, "nas_operator_reconcile_duration_seconds", ""), "99 %"),
            width=8,
        ),
        bars(
            "Actions",
            "What reconciliations have carried out. A search that does not change needs none.",
            "none",
            Series("sum by (action) (increase(nas_operator_actions_total[$__rate_interval]))", "{{action}}"),
            width=24,
        ),
    ],
)

_QUEUE = Row(
    "Queue",
    [
        lines(
            "Searches in the queue",
            "Those that are due and wait, and those that are worked on: at most settings.workers.",
            "none",
            Series("sum(nas_operator_queue_depth)", "waiting"),
            Series("sum(nas_operator_queue_working)", "in work"),
        ),
        lines(
            "Longest wait and work",
            "Of a search in the queue. A wait that grows means that settings.workers is too small, or that the API "
            "server is slow.",
            "s",
            Series("max(nas_operator_queue_longest_wait_seconds)", "wait"),
            Series("max(nas_operator_queue_longest_work_seconds)", "work"),
        ),
    ],
)

_WATCHES = Row(
    "Watches",
    [
        lines(
            "Events in a second",
            "What watches told of, by kind of object.",
            "ops",
            Series("sum by (kind) (rate(nas_operator_watch_events_total[$__rate_interval]))", "{{kind}}"),
            width=6,
        ),
        lines(
            "Age of the last event",
            "For how long a watch has been silent. Nothing may have happened: the lag beside it tells.",
            "s",
            Series(
                "time() - max by (kind) (nas_operator_watch_last_event_timestamp_seconds > 0)",
                "{{kind}}",
            ),
            width=6,
        ),
        lines(
            "Watch lag",
            "For how long a watch has not told of what a list has shown. 0: it has told of everything.",
            "s",
            Series("max by (kind) (nas_operator_watch_lag_seconds)", "{{kind}}"),
            width=6,
        ),
        bars(
            "Lists",
            "Lists of all objects, to find what a watch has missed.",
            "none",
            Series("sum by (outcome) (increase(nas_operator_resyncs_total[$__rate_interval]))", "{{outcome}}"),
            width=6,
            colours=colours.OUTCOMES,
        ),
    ],
)

_SEARCHES_ROW = Row(
    "Searches",
    [
        lines(
            "Conditions",
            "How many searches have each condition, in the namespaces chosen.",
            "none",
            Series(f"sum by (condition) (nas_search_condition{{{_SEARCHES}}})", "{{condition}}"),
        ),
        areas(
            "Workers",
            "Of all pools in the namespaces chosen: those that exist and are alive, and those that exist and are not "
            "yet.",
            "none",
            Series(f'sum(nas_pool_workers{{{_SEARCHES}, state="alive"}})', "alive"),
            Series(
                f'clamp_min(sum(nas_pool_workers{{{_SEARCHES}, state="existing"}})'
                f' - sum(nas_pool_workers{{{_SEARCHES}, state="alive"}}), 0)',
                "not yet alive",
            ),
            colours=colours.POOLS,
        ),
    ],
)

_PROCESS = Row(
    "Process",
    [
        lines(
            "CPU",
            "Cores that the operator uses.",
            "none",
            Series(f"rate(process_cpu_seconds_total[$__rate_interval]) {_OWN}", "{{instance}}"),
        ),
        lines(
            "Memory",
            "Resident memory of the operator.",
            "bytes",
            Series(f"process_resident_memory_bytes {_OWN}", "{{instance}}"),
        ),
    ],
    collapsed=True,
)
