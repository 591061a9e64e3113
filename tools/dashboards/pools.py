"""Pools and cost: what the workers of each pool do, whether they are all there, and what that costs."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import colours
from tools.dashboards.board import NAMESPACE, POOL, PRICE, SEARCH, Row, board
from tools.dashboards.colours import BAD, GOOD, WARNING
from tools.dashboards.panels import Series, areas, bars, lines, stat_panel
from tools.dashboards.queries import POOLS, PRESENT, SEARCHES, TRAINING, hours, mean, quantile
from tools.dashboards.tables import Column, table_of

_BY = "namespace, search, pool"
_NAME = "{{search}} / {{pool}}"
_THERE = f"nas_workers{{{POOLS}, {PRESENT}}}"
_TRAINING = f"nas_workers{{{POOLS}, {TRAINING}}}"
_FINISHED = f"(increase(nas_trials_finished_total{{{POOLS}}}[$__range]))"


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        "kubenas-pools",
        "Pools and cost",
        "What the workers of each pool do, whether they are all there, and what that costs.",
        [NAMESPACE, SEARCH, POOL, PRICE],
        [_TOTALS, _POOLS, _BUSY, _ALL_THERE, _COST],
    )


def _workers(state: str) -> str:
    return f'max by ({_BY}) (nas_pool_workers{{{POOLS}, state="{state}"}})'


_TOTALS = Row(
    "In the time range",
    [
        stat_panel(
            "Time spent in training",
            "Share of the worker hours in which workers trained. The others held their devices idle.",
            f"({hours(_TRAINING)}) / ({hours(_THERE)})",
            "percentunit",
            steps=((None, BAD), (0.5, WARNING), (0.8, GOOD)),
            decimals=0,
            nothing="no workers",
        ),
        stat_panel(
            "Worker hours", "For how long workers have been there, training or not.", hours(_THERE), "h", decimals=1
        ),
        stat_panel(
            "Device hours",
            "For how long finished trainings held devices: a worker trains on one.",
            f"sum(increase(nas_device_seconds_total{{{POOLS}}}[$__range])) / 3600",
            "h",
            decimals=1,
        ),
        stat_panel("Cost", "Worker hours times the price above.", f"{hours(_THERE)} * $price", "short", decimals=2),
        stat_panel(
            "Cost of a trial",
            "The cost divided by the trials that these workers finished.",
            f"{hours(_THERE)} * $price / (sum {_FINISHED} > 0)",
            "short",
            decimals=3,
            nothing="no trials",
        ),
        stat_panel(
            "Cost of an hour",
            "What an hour costs with the workers that are there now.",
            f"sum({_THERE}) * $price",
            "short",
            decimals=2,
        ),
    ],
)

_POOLS = Row(
    "Pools",
    [
        table_of(
            "Pools",
            "What each pool wants, has and costs. Wanted and existing workers are the operator's figures.",
            ("namespace", "search", "pool"),
            Column(_workers("wanted"), "Wanted"),
            Column(_workers("existing"), "Existing"),
            Column(f"sum by ({_BY}) ({_THERE})", "There"),
            Column(
                f"({hours(_TRAINING, _BY)}) / ({hours(_THERE, _BY)})",
                "Training",
                "percentunit",
                steps=((None, BAD), (0.5, WARNING), (0.8, GOOD)),
            ),
            Column(f"sum by ({_BY}) {_FINISHED}", "Trials", decimals=0),
            Column(
                f'sum by ({_BY}) (increase(nas_leases_ended_total{{{POOLS}, reason=~"lost|expired"}}[$__range]))',
                "Leases lost",
                decimals=0,
                steps=((None, GOOD), (1, WARNING)),
            ),
            Column(hours(_THERE, _BY), "Worker hours", "h", decimals=1),
            Column(f"{hours(_THERE, _BY)} * $price", "Cost", "short", decimals=2),
        ),
    ],
)

_BUSY = Row(
    "Are they busy?",
    [
        areas(
            "Workers",
            "What the workers do. Idle ones wait for an architecture; draining ones finish what they train and go; "
            "silent ones have not been heard of for the duration of a lease.",
            "none",
            Series(f"sum by (state) (nas_workers{{{POOLS}}})", "{{state}}"),
            colours=colours.WORKERS,
        ),
        lines(
            "Workers that train",
            "Share of the workers of a pool that train.",
            "percentunit",
            Series(
                f"sum by ({_BY}) (nas_workers{{{POOLS}, {TRAINING}}}) / (sum by ({_BY}) ({_THERE}) > 0)",
                _NAME,
            ),
            maximum=1,
        ),
        lines(
            "Wait between two trainings",
            "How long a worker waits from the end of one training to the next, on average. If it grows, the "
            "controller does not propose architectures as fast as they are trained.",
            "s",
            Series(mean("nas_worker_idle_seconds", POOLS, _BY), _NAME),
            interval="1m",
        ),
        lines(
            "Duration of trials",
            "How long half of the trainings take at most, by pool.",
            "s",
            Series(quantile(0.5, "nas_trial_duration_seconds", POOLS, _BY), _NAME),
            interval="2m",
        ),
    ],
)

_ALL_THERE = Row(
    "Are they all there?",
    [
        lines(
            "Wanted, existing and alive",
            "Workers that the pools want, that exist as Jobs, and that the controllers have heard of lately. Jobs "
            "that are not alive wait for quota, nodes or images, or start. From the operator.",
            "none",
            Series(f"sum by (state) (nas_pool_workers{{{POOLS}}})", "{{state}}"),
            width=8,
            colours=colours.POOLS,
        ),
        lines(
            "Missing workers",
            "Wanted and not alive. The condition Ready of the NASPool says why. From the operator.",
            "none",
            Series(f"clamp_min({_workers('wanted')} - {_workers('alive')}, 0)", _NAME),
            width=8,
        ),
        lines(
            "Silent leases",
            "Trainings without a sign of life for half of the duration of a lease. At its end they go out again.",
            "none",
            Series(f'sum by ({_BY}) (nas_leases{{{POOLS}, state="silent"}})', _NAME),
            width=8,
        ),
        bars(
            "Ends of leases",
            "With a result (finished), given back by a worker that goes (released), lost with a worker or its "
            "process, or expired in silence.",
            "none",
            Series(f"sum by (reason) (increase(nas_leases_ended_total{{{POOLS}}}[$__rate_interval]))", "{{reason}}"),
            width=24,
            colours=colours.ENDINGS,
        ),
    ],
)

_COST = Row(
    "What does it cost?",
    [
        areas(
            "Cost of an hour",
            "What an hour costs with the workers that are there, by pool.",
            "short",
            Series(f"sum by ({_BY}) ({_THERE}) * $price", _NAME),
            width=8,
        ),
        bars(
            "Device hours of finished trainings",
            "By what they were for: the search, or the final training of its best architectures.",
            "h",
            Series(
                f"sum by (stage) (increase(nas_device_seconds_total{{{POOLS}}}[$__rate_interval])) / 3600", "{{stage}}"
            ),
            width=8,
            interval="5m",
        ),
        bars(
            "Training that was saved",
            "Time of training that duplicates and early ends did not take. Of all pools of the searches: what is not "
            "trained has none.",
            "s",
            Series(f"sum by (by) (increase(nas_saved_seconds_total{{{SEARCHES}}}[$__rate_interval]))", "{{by}}"),
            width=8,
            interval="5m",
        ),
    ],
)
