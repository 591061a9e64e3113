"""One search: is it learning, and what did it find?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import colours
from tools.dashboards.board import Row, board, values_of
from tools.dashboards.colours import CALM, GOOD, WARNING
from tools.dashboards.panels import Series, areas, bars, heat, lines, stat_panel, words
from tools.dashboards.queries import FINISHED, PRESENT, SEARCHES, buckets, mean, per_hour, quantile

_FINISHED = f"sum(nas_search_trials{{{SEARCHES}, {FINISHED}}})"
_SPEED = per_hour(f"nas_trials_finished_total{{{SEARCHES}}}", "pool")
_COMMANDS = """\
What the policy has found is not in the metrics. The programs of KubeNAS show it:

```
kubectl nas best $search -n $namespace              # layer by layer
kubectl nas plot $search -n $namespace -o curve.png
kubectl nas export best $search -n $namespace -o network/
```

On one machine: `nas best`, `nas report -o report.html`, `nas export best -o network/`.
"""


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        "kubenas-search",
        "Search",
        "One search: is it learning, and what did it find?",
        [
            values_of("namespace", "Namespace", "nas_search_info", many=False),
            values_of("search", "Search", 'nas_search_info{namespace=~"$namespace"}', many=False),
        ],
        [_STANDING, _LEARNING, _FOUND, _WORKERS, _FINAL],
    )


def _of(metric: str) -> str:
    """A gauge of the search, whichever instance it is from."""
    return f"max({metric}{{{SEARCHES}}})"


_STANDING = Row(
    "Where it stands",
    [
        stat_panel(
            "State",
            "What the controller says: running, suspended, succeeded or failed.",
            f"max by (state) (nas_search_state{{{SEARCHES}}} == 1)",
            "none",
            width=3,
            legend="{{state}}",
            colours=colours.SEARCHES,
        ),
        stat_panel(
            "What is searched",
            "The algorithm and the space of the manifest, and the metric that rewards are made of.",
            f"max by (algorithm, space, metric) (nas_search_info{{{SEARCHES}}})",
            "none",
            width=5,
            legend="{{algorithm}}, {{space}}, {{metric}}",
        ),
        stat_panel(
            "Best reward",
            "Of all trials that succeeded.",
            _of("nas_reward_best"),
            "none",
            width=3,
            steps=((None, GOOD),),
            decimals=4,
            nothing="none yet",
        ),
        stat_panel("Trials", "That have their result, replayed ones included.", _FINISHED, "none", width=3),
        stat_panel(
            "Budget used",
            "Of maxTrials or of maxDuration, whichever is nearer to its end.",
            f'max(label_replace({_FINISHED} / {_of("nas_search_budget_trials")}, "of", "trials", "", "")'
            f" or label_replace({_of('nas_search_active_seconds')} / {_of('nas_search_budget_seconds')},"
            ' "of", "time", "", ""))',
            "percentunit",
            width=3,
            steps=((None, CALM), (0.9, WARNING)),
            decimals=0,
            nothing="no limit",
        ),
        stat_panel(
            "Trials in an hour",
            "How fast it went in the last half hour.",
            f"sum(rate(nas_trials_finished_total{{{SEARCHES}}}[30m])) * 3600",
            "none",
            width=3,
            decimals=0,
        ),
        stat_panel(
            "Time left for its trials",
            "Until maxTrials at the speed of the last half hour.",
            f"({_of('nas_search_budget_trials')} - {_FINISHED})"
            f" / (sum(rate(nas_trials_finished_total{{{SEARCHES}}}[30m])) > 0)",
            "s",
            nothing="not known",
        ),
    ],
)

_LEARNING = Row(
    "Is it learning?",
    [
        lines(
            "Reward",
            "A policy that learns pulls the mean of new trials up, and the baseline, which is its moving average, "
            "follows. If both stay flat while the best rises now and then, that is luck.",
            "none",
            Series(_of("nas_reward_best"), "best"),
            Series(mean("nas_reward", SEARCHES), "new trials, mean"),
            Series(_of("nas_reward_baseline"), "baseline"),
            minimum=None,
            interval="1m",
        ),
        heat(
            "Rewards of new trials",
            "How the rewards of the trials that were trained spread. The dark band should move up.",
            "none",
            buckets("nas_reward", SEARCHES),
        ),
        lines(
            "Entropy",
            "Mean entropy of the policy's decisions. It falls as the policy settles. Near zero, early and on a "
            "mediocre reward, it has settled too soon; if it never falls, nothing is learnt. Random search and "
            "evolution have none.",
            "suffix: nats",
            Series(_of("nas_policy_entropy_nats"), "entropy"),
            width=8,
        ),
        lines(
            "Gradient norm",
            "Of the last gradient, before clipping. Spikes shake the policy; zero teaches it nothing.",
            "none",
            Series(_of("nas_policy_gradient_norm"), "norm"),
            width=8,
        ),
        lines(
            "How old batches are when they are learnt",
            "Updates between the policy that a batch was sampled from and the one that it changed. Much more than the "
            "number of batches on the way means that slow trials teach an outdated policy.",
            "none",
            Series(quantile(0.5, "nas_policy_version_lag", SEARCHES), "median"),
            Series(quantile(0.95, "nas_policy_version_lag", SEARCHES), "95 %"),
            width=8,
            interval="1m",
        ),
    ],
)

_FOUND = Row(
    "What did it find?",
    [
        areas(
            "Trials so far",
            "All trials that have their result. The slope is the speed.",
            "none",
            Series(
                f"sum by (state) (nas_search_trials{{{SEARCHES}, {FINISHED}}})",
                "{{state}}",
            ),
            colours=colours.TRIALS,
        ),
        words("Architectures", _COMMANDS),
        bars(
            "Failed trials",
            "By reason. OutOfMemory and TimedOut say that the space has networks that are too large; TaskRaised is an "
            "error of the training code; AttemptsExhausted had too many workers die.",
            "none",
            Series(
                f"sum by (reason) (increase(nas_trial_failures_total{{{SEARCHES}}}[$__rate_interval]))", "{{reason}}"
            ),
        ),
        bars(
            "Trainings saved",
            "Duplicates took the result of their twin; the others ended before their last epoch.",
            "none",
            Series(f"sum by (by) (increase(nas_saved_trials_total{{{SEARCHES}}}[$__rate_interval]))", "{{by}}"),
        ),
    ],
)

_WORKERS = Row(
    "Who works on it?",
    [
        areas(
            "Workers",
            "What its workers do. Of pools one by one, see the dashboard of pools.",
            "none",
            Series(f"sum by (state) (nas_workers{{{SEARCHES}}})", "{{state}}"),
            width=8,
            colours=colours.WORKERS,
        ),
        lines(
            "Duration of trials",
            "How long a training took, by pool. Networks that grow take longer.",
            "s",
            Series(quantile(0.5, "nas_trial_duration_seconds", f'{SEARCHES}, pool!=""', "pool"), "{{pool}}, median"),
            Series(quantile(0.95, "nas_trial_duration_seconds", f'{SEARCHES}, pool!=""', "pool"), "{{pool}}, 95 %"),
            width=8,
            interval="2m",
        ),
        lines(
            "On the way",
            "Architectures that wait for a worker, that are trained, and batches that wait to be learnt. Many waiting "
            "architectures call for more workers; many waiting batches for a faster controller.",
            "none",
            Series(f'sum(nas_search_trials{{{SEARCHES}, state="pending"}})', "waiting for a worker"),
            Series(f'sum(nas_search_trials{{{SEARCHES}, state="leased"}})', "in training"),
            Series(_of("nas_policy_waiting_batches"), "batches to learn"),
            Series(f"sum(nas_workers{{{SEARCHES}, {PRESENT}}})", "workers"),
            width=8,
        ),
        lines(
            "Trials in an hour",
            "By the pool that trained them. Without a pool: replayed from a twin, or given up after too many lost "
            "workers.",
            "none",
            Series(
                f'label_replace({_SPEED}, "pool", "no pool", "pool", "")',
                "{{pool}}",
            ),
            interval="2m",
        ),
        lines(
            "Failures in a row",
            "Trials that failed one after another. At maxConsecutiveFailures the search fails.",
            "none",
            Series(_of("nas_search_consecutive_failures"), "failures"),
        ),
    ],
)

_FINAL = Row(
    "Final training",
    [
        areas(
            "Final trainings",
            "The best architectures, trained to the end once the search is over, if its manifest says so.",
            "none",
            Series(f"sum by (state) (nas_final_trainings{{{SEARCHES}}})", "{{state}}"),
            colours=colours.STAGES,
        ),
        stat_panel(
            "Best reward of a final training",
            "On the validation data.",
            _of("nas_final_training_reward_best"),
            "none",
            decimals=4,
            steps=((None, GOOD),),
            nothing="none yet",
            width=6,
        ),
        stat_panel(
            "Failed",
            "Final trainings that failed since the controller started.",
            f'sum(nas_final_trainings_finished_total{{{SEARCHES}, outcome="failed"}})',
            "none",
            steps=((None, GOOD), (1, WARNING)),
            width=6,
        ),
    ],
    collapsed=True,
)
