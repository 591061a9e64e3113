"""`SearchMetrics`: counters and histograms of what happens in a search."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from threading import Lock
from typing import TypeVar

from nas_api.spec import NASSearch
from prometheus_client import CollectorRegistry, Counter, Histogram

from nas_controller.metrics import labels

# Networks for digits train for seconds, those for large data for days.
_TRIAL_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400)
# Powers of accuracies lie between 0 and 1, those of the paper for language far below.
_REWARDS = (0, 1e-4, 1e-3, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1, 2, 5, 10, 100)
_IDLE_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900)
_COMMIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# A worker that asks for an architecture waits for up to a minute.
_RPC_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_VERSIONS = (0, 1, 2, 4, 8, 16, 32, 64, 128)

Child = TypeVar("Child")
Counters = dict[tuple[str, ...], Counter]
"""By the values of the labels beside those of the search. All that there can be are there, at zero from the start."""
Histograms = dict[tuple[str, ...], Histogram]


class SearchMetrics:
    """What has happened since the controller started. Thread-safe."""

    def __init__(self, search: NASSearch) -> None:
        """Begins at zero."""
        self.registry = CollectorRegistry()
        self._search = (search.metadata.namespace, search.metadata.name)
        self.pools = pools = (*(pool.name for pool in search.spec.pools), labels.NO_POOL)
        """The pools that are named: those of the manifest, and those that had workers since."""
        self._add_pool: list[Callable[[Sequence[str]], None]] = []
        self._adding = Lock()
        self.trials_sampled = self._counters("nas_trials_sampled", "Architectures that the policy proposed.")[()]
        self.trials_finished = self._counters(
            "nas_trials_finished",
            "Trials that got their result, by outcome and by the pool that trained them. Replayed ones, and those "
            "given up after too many lost workers, have no pool.",
            pool=pools,
            outcome=labels.OUTCOMES,
        )
        self.trial_failures = self._counters("nas_trial_failures", "Failed trials by reason.", reason=labels.FAILURES)
        self.trial_seconds = self._histograms(
            "nas_trial_duration_seconds",
            "How long the trials that were trained took, their first trainings included.",
            _TRIAL_SECONDS,
            pool=pools,
        )
        self.device_seconds = self._counters(
            "nas_device_seconds",
            "Seconds for which finished trials and final trainings held the device of their worker.",
            pool=pools,
            stage=labels.STAGES,
        )
        self.reward = self._histograms(
            "nas_reward", "Rewards of the trials that were trained and succeeded.", _REWARDS
        )[()]
        self.saved_trials = self._counters(
            "nas_saved_trials", "Trainings that were left out, or ended early, by what saved them.", by=labels.SAVINGS
        )
        self.saved_seconds = self._counters(
            "nas_saved_seconds",
            "Seconds of training that this saved: of duplicates what their twin took, of the others what the last "
            "full trainings took longer.",
            by=labels.SAVINGS,
        )
        self.updates = self._counters("nas_policy_updates", "Updates of the policy.")[()]
        self.version_lag = self._histograms(
            "nas_policy_version_lag",
            "Updates between the version that a batch was sampled at and the one that its update changed.",
            _VERSIONS,
        )[()]
        self.leases_granted = self._counters(
            "nas_leases_granted", "Leases given out, or taken up again after they had expired.", pool=pools
        )
        self.leases_ended = self._counters(
            "nas_leases_ended",
            "Leases that ended: with a result, given back, lost with their worker or its trial process, or expired "
            "in silence.",
            pool=pools,
            reason=labels.ENDINGS,
        )
        self.idle_seconds = self._histograms(
            "nas_worker_idle_seconds",
            "How long workers waited from the end of one training, or from their registration, to the next.",
            _IDLE_SECONDS,
            pool=pools,
        )
        self.final_trainings = self._counters(
            "nas_final_trainings_finished",
            "Final trainings that got their result.",
            pool=pools,
            outcome=labels.FINAL_OUTCOMES,
        )
        self.commit_seconds = self._histograms(
            "nas_journal_commit_duration_seconds", "How long the journal took to make records durable.", _COMMIT_SECONDS
        )[()]
        self.rpcs = self._counters("nas_rpcs_handled", "Calls answered.", method=labels.METHODS, code=labels.CODES)
        self.rpc_seconds = self._histograms(
            "nas_rpc_duration_seconds",
            "How long calls took to answer, whatever the answer. Lease waits until there is an architecture.",
            _RPC_SECONDS,
            method=labels.UNARY_METHODS,
        )

    def pool(self, name: str) -> str:
        """The pool that a series names for `name`. A pool that is new has all of its series from now on."""
        if name not in self.pools:
            with self._adding:
                if name not in self.pools and len(self.pools) < labels.MOST_POOLS:
                    for add in self._add_pool:
                        add((name,))
                    self.pools = (*self.pools, name)
        return name if name in self.pools else labels.NO_POOL

    def idled(self, pool: str, seconds: float) -> None:
        """A worker got something to train after `seconds` without."""
        self.idle_seconds[self.pool(pool),].observe(seconds)

    def _counters(self, name: str, documentation: str, **values: Sequence[str]) -> Counters:
        counter = Counter(name, documentation, (*labels.SEARCH, *values), registry=self.registry)
        return self._children(counter.labels, values)

    def _histograms(
        self, name: str, documentation: str, buckets: Sequence[float], **values: Sequence[str]
    ) -> Histograms:
        histogram = Histogram(name, documentation, (*labels.SEARCH, *values), buckets=buckets, registry=self.registry)
        return self._children(histogram.labels, values)

    def _children(
        self, make: Callable[..., Child], values: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, ...], Child]:
        children: dict[tuple[str, ...], Child] = {}

        def add(pools: Sequence[str]) -> None:
            every = (pools if label == "pool" else possible for label, possible in values.items())
            children.update({chosen: make(*self._search, *chosen) for chosen in product(*every)})

        add(self.pools)
        if "pool" in values:
            self._add_pool.append(add)
        return children
