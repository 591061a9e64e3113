"""`Progress`: how far a search has come, and whether its budget (`spec.budget`) says that it has ended."""

from dataclasses import dataclass, field

from nas_api.spec import Budget
from nas_api.spec.base import parse_duration

from nas_controller.journal.journal import Recovered, TrialState


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a search is in: a name of `Summary.State`, a CamelCase reason and words for a person."""

    state: str
    reason: str = ""
    message: str = ""

    @property
    def final(self) -> bool:
        """Whether the search has ended."""
        return self.state in ("SUCCEEDED", "FAILED")


BUDGET_REASONS = frozenset({"TooManyFailures", "BudgetSpent", "TargetReached", "DurationSpent"})
"""Reasons of the verdicts that a budget makes: with a larger budget they do not hold any more."""


@dataclass(slots=True)
class Progress:
    """Counts of a search's trials, kept as they finish."""

    counts: dict[TrialState, int] = field(default_factory=dict)
    consecutive_failures: int = 0
    best_reward: float | None = None  # of the trials that succeeded, as in `JournalReader.best`
    device_seconds: float = 0.0
    active_seconds: float = 0.0
    leases_expired: int = 0
    replayed: int = 0  # of the trials that did not fail

    @classmethod
    def recovered(cls, recovered: Recovered, best_reward: float | None) -> "Progress":
        """The progress of a search that is taken up again."""
        return cls(
            counts=dict(recovered.counts),
            consecutive_failures=recovered.consecutive_failures,
            best_reward=best_reward,
            device_seconds=recovered.device_seconds,
            active_seconds=float(recovered.facts.get("active_seconds", 0.0)),
            leases_expired=recovered.leases_expired,
            replayed=recovered.replayed,
        )

    @property
    def finished(self) -> int:
        """Trials that have a result."""
        return sum(self.counts.values())

    def add(self, state: TrialState, reward: float, device_seconds: float, *, replayed: bool = False) -> None:
        """A trial has finished. One that was replayed does not tell whether trials fail in a row."""
        self.counts[state] = self.counts.get(state, 0) + 1
        self.device_seconds += device_seconds
        if replayed:
            self.replayed += 1
            return
        if state is TrialState.FAILED:
            self.consecutive_failures += 1
            return
        self.consecutive_failures = 0
        # One that was stopped early has not shown what it is worth.
        if state is TrialState.SUCCEEDED and (self.best_reward is None or reward > self.best_reward):
            self.best_reward = reward

    def verdict(self, budget: Budget) -> Verdict | None:
        """The end that the budget asks for now, if it asks for one."""
        if self.consecutive_failures >= budget.max_consecutive_failures:
            return Verdict(
                "FAILED",
                "TooManyFailures",
                f"{self.consecutive_failures} trials failed in a row (budget.maxConsecutiveFailures): look at the "
                "reason of the last ones, mend the data, the task or the trainer, then run it again",
            )
        if budget.max_trials is not None and self.finished >= budget.max_trials:
            return Verdict("SUCCEEDED", "BudgetSpent", f"{self.finished} trials have finished (budget.maxTrials)")
        if (
            budget.target_reward is not None
            and self.best_reward is not None
            and self.best_reward >= budget.target_reward
        ):
            return Verdict(
                "SUCCEEDED", "TargetReached", f"a reward of {self.best_reward:.6g} reaches budget.targetReward"
            )
        if budget.max_duration is not None:
            allowed = parse_duration(budget.max_duration).total_seconds()
            if self.active_seconds >= allowed:
                return Verdict("SUCCEEDED", "DurationSpent", f"{budget.max_duration} are over (budget.maxDuration)")
        return None
