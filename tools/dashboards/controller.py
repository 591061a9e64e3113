"""Controller and gRPC: do controllers answer, does the journal keep up, does the policy keep up?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import colours
from tools.dashboards.board import NAMESPACE, SEARCH, Row, board
from tools.dashboards.colours import BAD, GOOD, WARNING, ZERO_IS_GOOD
from tools.dashboards.panels import Series, bars, heat, lines, stat_panel
from tools.dashboards.queries import SEARCHES, buckets, mean, quantile

_BY = "namespace, search"
_NAME = "{{namespace}} / {{search}}"
# Lease waits until there is an architecture.
_PROMPT = f'{SEARCHES}, method!="Lease"'
# What a caller does when it goes is no error of ours.
_ERRORS = f'{SEARCHES}, code!~"OK|CANCELLED"'
_FREE = f"min by ({_BY}) (nas_volume_available_bytes{{{SEARCHES}}} / nas_volume_size_bytes{{{SEARCHES}}})"
# Metrics of the process have no labels of the search; its info, of the same target, does.
_OWN = f"* on (job, instance) group_left (namespace, search) nas_search_info{{{SEARCHES}}}"


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        "kubenas-controller",
        "Controller and gRPC",
        "Do controllers answer, does the journal keep up, does the policy keep up?",
        [NAMESPACE, SEARCH],
        [_NOW, _CALLS, _JOURNAL, _LEARNER, _PROCESS],
    )


_NOW = Row(
    "Now",
    [
        stat_panel(
            "Controllers", "That are scraped.", f"count(max by ({_BY}) (nas_search_info{{{SEARCHES}}}))", "none"
        ),
        stat_panel(
            "Restarts",
            "Starts of controllers after the first in the time range. Nothing is lost by one, but workers wait "
            "meanwhile.",
            f"sum(round(increase(nas_controller_starts_total{{{SEARCHES}}}[$__range])))",
            "none",
            steps=((None, GOOD), (1, WARNING)),
            decimals=0,
        ),
        stat_panel(
            "Journals that stall",
            "Journals that cannot be written, such as on a full volume. Everything waits for them.",
            f"sum(max by ({_BY}) (nas_journal_stalled{{{SEARCHES}}}))",
            "none",
            steps=ZERO_IS_GOOD,
        ),
        stat_panel(
            "Least room on a volume",
            "Share of its size that is left, on the volume of the journal that has least.",
            f"min({_FREE})",
            "percentunit",
            steps=((None, BAD), (0.05, WARNING), (0.2, GOOD)),
            decimals=0,
        ),
        stat_panel(
            "Calls in a second",
            "Of workers, of the operator and of users.",
            f"sum(rate(nas_rpcs_handled_total{{{SEARCHES}}}[$__rate_interval]))",
            "reqps",
            decimals=1,
        ),
        stat_panel(
            "Calls with an error",
            "Share of the calls that were answered with an error. Callers that went away do not count.",
            f"sum(rate(nas_rpcs_handled_total{{{_ERRORS}}}[$__rate_interval]))"
            f" / sum(rate(nas_rpcs_handled_total{{{SEARCHES}}}[$__rate_interval]))",
            "percentunit",
            steps=((None, GOOD), (0.01, WARNING), (0.1, BAD)),
            decimals=1,
            nothing="no calls",
        ),
    ],
)

_CALLS = Row(
    "Calls",
    [
        lines(
            "Calls in a second",
            "By method. Report is the heartbeat of workers, and comes most often.",
            "reqps",
            Series(f"sum by (method) (rate(nas_rpcs_handled_total{{{SEARCHES}}}[$__rate_interval]))", "{{method}}"),
            width=8,
        ),
        lines(
            "Errors in a second",
            "By code. NOT_FOUND: of a lease that is no longer held. UNAVAILABLE: the journal stalls, or the "
            "controller ends. UNAUTHENTICATED and PERMISSION_DENIED: certificates.",
            "reqps",
            Series(f"sum by (code) (rate(nas_rpcs_handled_total{{{_ERRORS}}}[$__rate_interval]))", "{{code}}"),
            width=8,
        ),
        lines(
            "Duration of calls",
            "Of 99 in 100 calls, by method. Lease is missing here: it waits until there is an architecture.",
            "s",
            Series(quantile(0.99, "nas_rpc_duration_seconds", _PROMPT, "method"), "{{method}}"),
            width=8,
        ),
    ],
)

_JOURNAL = Row(
    "Journal and leases",
    [
        heat(
            "Duration of commits",
            "How long the journal takes to make records durable. Workers wait for it at the end of a trial.",
            "s",
            buckets("nas_journal_commit_duration_seconds", SEARCHES),
            width=8,
        ),
        lines(
            "Slowest commits",
            "Of 99 in 100 commits, by search. It is the volume's: a slow one makes every worker wait.",
            "s",
            Series(quantile(0.99, "nas_journal_commit_duration_seconds", SEARCHES, _BY), _NAME),
            width=8,
        ),
        lines(
            "Room on the volumes",
            "Share that is left on the volume of a journal.",
            "percentunit",
            Series(_FREE, _NAME),
            width=8,
            maximum=1,
        ),
        lines(
            "Leases",
            "Trainings on the way. Silent ones have had no sign of life for half of their duration.",
            "none",
            Series(f"sum by (state) (nas_leases{{{SEARCHES}}})", "{{state}}"),
            width=8,
            colours=colours.LEASES,
        ),
        bars(
            "Leases granted",
            "Trainings begun, or taken up again after their lease had expired.",
            "none",
            Series(f"sum(increase(nas_leases_granted_total{{{SEARCHES}}}[$__rate_interval]))", "granted"),
            width=8,
        ),
        bars(
            "Ends of leases",
            "With a result, given back, lost with a worker or its process, or expired in silence.",
            "none",
            Series(f"sum by (reason) (increase(nas_leases_ended_total{{{SEARCHES}}}[$__rate_interval]))", "{{reason}}"),
            width=8,
            colours=colours.ENDINGS,
        ),
    ],
)

_LEARNER = Row(
    "Policy",
    [
        lines(
            "Updates in an hour",
            "Updates of the policy, by search.",
            "none",
            Series(f"sum by ({_BY}) (rate(nas_policy_updates_total{{{SEARCHES}}}[$__rate_interval])) * 3600", _NAME),
            width=6,
            interval="2m",
        ),
        lines(
            "Architectures proposed in an hour",
            "By search. It should keep up with the trials that finish.",
            "none",
            Series(f"sum by ({_BY}) (rate(nas_trials_sampled_total{{{SEARCHES}}}[$__rate_interval])) * 3600", _NAME),
            width=6,
            interval="2m",
        ),
        lines(
            "Batches to learn",
            "Batches whose trials have finished and whose update is due. More than a few: the learner lacks CPU.",
            "none",
            Series(f"max by ({_BY}) (nas_policy_waiting_batches{{{SEARCHES}}})", _NAME),
            width=6,
        ),
        lines(
            "Wait between two trainings",
            "How long workers wait for an architecture, on average, by search.",
            "s",
            Series(mean("nas_worker_idle_seconds", SEARCHES, _BY), _NAME),
            width=6,
            interval="1m",
        ),
    ],
)

_PROCESS = Row(
    "Processes",
    [
        lines(
            "CPU",
            "Cores that the process with the journal and the calls uses. The one that learns is not in it.",
            "none",
            Series(f"sum by ({_BY}) (rate(process_cpu_seconds_total[$__rate_interval]) {_OWN})", _NAME),
            width=8,
        ),
        lines(
            "Memory",
            "Resident memory of that process.",
            "bytes",
            Series(f"sum by ({_BY}) (process_resident_memory_bytes {_OWN})", _NAME),
            width=8,
        ),
        lines(
            "Open files",
            "Share of the file descriptors that it may have. Each worker's connection takes one.",
            "percentunit",
            Series(f"max by ({_BY}) (process_open_fds / process_max_fds {_OWN})", _NAME),
            width=8,
        ),
    ],
    collapsed=True,
)
