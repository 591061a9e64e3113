"""Fleet: are the devices busy, is anything stuck, what does it cost? Over all searches of a cluster."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import colours
from tools.dashboards.board import NAMESPACE, PRICE, SEARCH, Row, board
from tools.dashboards.colours import BAD, GOOD, WARNING, ZERO_IS_GOOD
from tools.dashboards.panels import Series, areas, bars, lines, stat_panel, timeline
from tools.dashboards.queries import FINISHED, PRESENT, SEARCHES, TRAINING, hours, per_hour
from tools.dashboards.tables import Column, table_of

_BY = "namespace, search"
_FINISHED = f"sum by ({_BY}) (nas_search_trials{{{SEARCHES}, {FINISHED}}})"
_LEFT = (
    f"{_FINISHED} / sum by ({_BY}) (nas_search_budget_trials{{{SEARCHES}}})",
    f"sum by ({_BY}) (nas_search_active_seconds{{{SEARCHES}}})"
    f" / sum by ({_BY}) (nas_search_budget_seconds{{{SEARCHES}}})",
)
_WANTED, _ALIVE = (
    f'max by (namespace, search, pool) (nas_pool_workers{{{SEARCHES}, state="{state}"}})'
    for state in ("wanted", "alive")
)
_MISSING = f"clamp_min({_WANTED} - {_ALIVE}, 0)"
_THERE = f"nas_workers{{{SEARCHES}, {PRESENT}}}"
_TRAINING = f"nas_workers{{{SEARCHES}, {TRAINING}}}"
_TO_SEARCH = (
    "Open this search",
    "/d/kubenas-search?var-datasource=${datasource}&var-namespace=${__data.fields.namespace}"
    "&var-search=${__data.fields.search}&${__url_time_range}",
)


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        "kubenas-fleet",
        "Fleet",
        "All searches of a cluster: are the devices busy, is anything stuck, what does it cost?",
        [NAMESPACE, SEARCH, PRICE],
        [_NOW, _SEARCHES, _STUCK, _USE],
    )


_NOW = Row(
    "Now",
    [
        stat_panel(
            "Searches that run",
            "Searches whose controller says that they run. Suspended and ended ones do not.",
            f'sum(max by ({_BY}) (nas_search_state{{{SEARCHES}, state="running"}}))',
            "none",
        ),
        stat_panel(
            "Workers that train",
            "Of the workers that are there, the share that trains an architecture. The others hold their devices idle.",
            f"sum(nas_workers{{{SEARCHES}, {TRAINING}}}) / sum(nas_workers{{{SEARCHES}, {PRESENT}}})",
            "percentunit",
            steps=((None, BAD), (0.5, WARNING), (0.8, GOOD)),
            decimals=0,
            nothing="no workers",
        ),
        stat_panel(
            "Searches in trouble",
            "Searches whose condition Ready is not True. From the operator.",
            f'sum(1 - max by ({_BY}) (nas_search_condition{{{SEARCHES}, condition="Ready"}}))',
            "none",
            steps=ZERO_IS_GOOD,
        ),
        stat_panel(
            "Workers missing",
            "Workers that pools want and that controllers have not heard of lately. From the operator.",
            f"sum({_MISSING})",
            "none",
            steps=((None, GOOD), (1, WARNING)),
        ),
        stat_panel(
            "Worker hours",
            "For how long workers have been there in the time range, training or not.",
            hours(_THERE),
            "h",
            decimals=1,
        ),
        stat_panel(
            "Cost",
            "Worker hours in the time range, times the price above.",
            f"{hours(_THERE)} * $price",
            "short",
            decimals=2,
        ),
    ],
)

_SEARCHES = Row(
    "Searches",
    [
        table_of(
            "Searches",
            "All searches that the operator knows or whose controller is scraped. The name of one opens its dashboard.",
            ("namespace", "search"),
            Column(
                f"max by ({_BY}, state) (nas_search_state{{{SEARCHES}}} == 1)",
                "State",
                label="state",
                colours=colours.SEARCHES,
            ),
            Column(
                f'max by ({_BY}) (nas_search_condition{{{SEARCHES}, condition="Ready"}})',
                "Ready",
                steps=((None, BAD), (1, GOOD)),
                words={0: "no", 1: "yes"},
            ),
            Column(_FINISHED, "Trials"),
            Column(
                f'max by ({_BY}) (label_replace({_LEFT[0]}, "of", "trials", "", "")'
                f' or label_replace({_LEFT[1]}, "of", "time", "", ""))',
                "Budget used",
                "percentunit",
                steps=((None, GOOD), (0.9, WARNING)),
            ),
            Column(f"max by ({_BY}) (nas_reward_best{{{SEARCHES}}})", "Best reward", decimals=4),
            Column(
                f'sum by ({_BY}) (nas_search_trials{{{SEARCHES}, state="failed"}}) / {_FINISHED}',
                "Failed",
                "percentunit",
                steps=((None, GOOD), (0.2, WARNING), (0.5, BAD)),
            ),
            Column(f"sum by ({_BY}) (nas_workers{{{SEARCHES}, {TRAINING}}})", "Training"),
            Column(f"sum by ({_BY}) (nas_workers{{{SEARCHES}, {PRESENT}}})", "Workers"),
            Column(f"max by ({_BY}) (nas_search_device_seconds{{{SEARCHES}}}) / 3600", "Device hours", "h", decimals=1),
            links={"search": _TO_SEARCH},
        ),
    ],
)

_STUCK = Row(
    "Is anything stuck?",
    [
        timeline(
            "Ready",
            "Whether each search does what its manifest says: it runs, is suspended, or has succeeded. From the "
            "operator. kubectl describe says why one is not.",
            Series(
                f'max by ({_BY}) (nas_search_condition{{{SEARCHES}, condition="Ready"}})', "{{namespace}} / {{search}}"
            ),
            {0: ("not ready", BAD), 1: ("ready", GOOD)},
        ),
        lines(
            "Missing workers",
            "Workers that a search wants and does not have. Quota, nodes or images, as its condition PoolsReady says. "
            "From the operator.",
            "none",
            Series(f"sum by ({_BY}) ({_MISSING})", "{{namespace}} / {{search}}"),
        ),
        bars(
            "Leases that were lost",
            "Trainings whose worker or process died (lost), or that fell silent (expired). Their architectures go out "
            "again.",
            "none",
            Series(
                "sum by (reason) "
                f'(increase(nas_leases_ended_total{{{SEARCHES}, reason=~"lost|expired"}}[$__rate_interval]))',
                "{{reason}}",
            ),
            colours=colours.ENDINGS,
        ),
        lines(
            "Searches that cannot go on",
            "Journals that cannot be written, and searches whose controller is not available. Everything of theirs "
            "waits.",
            "none",
            Series(f"sum(max by ({_BY}) (nas_journal_stalled{{{SEARCHES}}}))", "journal stalled"),
            Series(
                f"sum(max by ({_BY}) (nas_search_controller_unavailable_seconds{{{SEARCHES}}}) > bool 0)",
                "controller not available",
            ),
        ),
    ],
)

_USE = Row(
    "Use and cost",
    [
        areas(
            "Workers",
            "What all workers do. Idle ones wait for an architecture; silent ones have not been heard of for the "
            "duration of a lease.",
            "none",
            Series(f"sum by (state) (nas_workers{{{SEARCHES}}})", "{{state}}"),
            colours=colours.WORKERS,
        ),
        lines(
            "Workers that train, by namespace",
            "Share of the workers there that train.",
            "percentunit",
            Series(
                f"sum by (namespace) (nas_workers{{{SEARCHES}, {TRAINING}}})"
                f" / sum by (namespace) (nas_workers{{{SEARCHES}, {PRESENT}}})",
                "{{namespace}}",
            ),
            maximum=1,
        ),
        lines(
            "Trials in an hour",
            "How fast trials finish, whatever their outcome, replayed ones included.",
            "none",
            Series(per_hour(f"nas_trials_finished_total{{{SEARCHES}}}", _BY), "{{namespace}} / {{search}}"),
            interval="2m",
        ),
        table_of(
            "Cost by search",
            "Worker hours in the time range, the share of them without training, and their price.",
            ("namespace", "search"),
            Column(hours(_THERE, _BY), "Worker hours", "h", decimals=1),
            Column(
                f"1 - ({hours(_TRAINING, _BY)}) / ({hours(_THERE, _BY)})",
                "Idle",
                "percentunit",
                steps=((None, GOOD), (0.2, WARNING), (0.5, BAD)),
            ),
            Column(f"{hours(_THERE, _BY)} * $price", "Cost", "short", decimals=2),
            width=12,
            height=8,
            links={"search": _TO_SEARCH},
        ),
    ],
)
