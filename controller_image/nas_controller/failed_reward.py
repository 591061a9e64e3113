"""`FailedReward`: notices when a trained architecture is worth less than a failed one, so that failures look better.

Pure state: what was said is in the journal, and is taken from there.
"""

from nas_api.spec import Reward

FACT = "failed_reward"
"""The fact in the journal that has what was said."""


class FailedReward:
    """Compares the reward of each trial that was trained to its end with `failedTrial.reward`.

    A manifest is refused only where its scale alone says so. What a metric comes to, such as a log-likelihood, which is
    negative, is seen here.
    """

    def __init__(self, spec: Reward, *, said: bool) -> None:
        """Of a search of which it has been `said`, or not yet."""
        self._failed = spec.failed_trial.reward
        self._metric = spec.metric
        self._said = said

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
            f"to the search an architecture that fails is the better one. See whether the task measures {self._metric} "
            "rightly, or begin a search whose spec.reward.failedTrial.reward lies below that of any that trains"
        )
