"""`FailedReward`: notices when a trained architecture is worth less than a failed one: the policy would learn to fail.

Pure state: what it remembers is in the journal, and is rebuilt from there.
"""

from collections.abc import Iterable

from nas_api.spec import Reward

from nas_controller.journal.journal import TrainedResult, TrialState

FACT = "failed_reward"
"""The fact in the journal that has what was said."""


class FailedReward:
    """Compares the reward of each trial that was trained to its end with `failedTrial.reward`.

    A manifest whose scale makes rewards negative is refused. Here a metric did so that is negative itself, such as a
    log-likelihood.
    """

    def __init__(self, spec: Reward, results: Iterable[TrainedResult]) -> None:
        """Takes the results so far. What they say has been said."""
        self._failed = spec.failed_trial.reward
        self._metric = spec.metric
        self._said = any(r.state is TrialState.SUCCEEDED and r.reward < self._failed for r in results)

    def add(self, trial: int, reward: float) -> str | None:
        """A trial was trained to its end.

        Returns:
            What to say to a person now, once in a search; else None.
        """
        if self._said or reward >= self._failed:
            return None
        self._said = True
        return (
            f"trial {trial} was trained and has the reward {reward:g}, less than the {self._failed:g} of a failed one: "
            f"the policy may learn to design architectures that fail. See whether the task measures {self._metric} "
            "rightly, or begin a search whose spec.reward.failedTrial.reward lies below that of any that trains"
        )
