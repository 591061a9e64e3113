"""`EqualRewards`: notices when trials earn the same reward whatever their architecture: nothing is learnt from that.

Pure state: what it remembers is in the journal, and is rebuilt from there.
"""

from collections.abc import Iterable

from nas_api.spec import NASSearchSpec

from nas_controller.journal.journal import TrainedResult, TrialState

IN_A_ROW = 20
"""Trials with one and the same reward of which a person should know."""

FACT = "equal_rewards"
"""The fact in the journal that has what was said last; empty, since rewards differ again."""


class EqualRewards:
    """Counts trials in a row, of those that were trained to their end, that have the same reward."""

    def __init__(self, spec: NASSearchSpec, results: Iterable[TrainedResult]) -> None:
        """Takes the results so far, in the order in which they finished. What they say has been said."""
        algorithm = spec.controller.algorithm
        self._reward_model = algorithm.type == "Editing" and algorithm.editing.candidates > 1
        # Of the first ones, as soon as the reward model is asked, it matters.
        self._enough_first = min(IN_A_ROW, algorithm.editing.initial_samples) if self._reward_model else IN_A_ROW
        self._said = False
        self._metric = spec.reward.metric
        self._reward: float | None = None
        self._in_a_row = 0
        self._trained = 0
        for result in results:
            if result.state is TrialState.SUCCEEDED:
                self.add(result.trial, result.reward)

    def add(self, trial: int, reward: float) -> str | None:
        """A trial was trained to its end.

        Returns:
            What to say to a person now, once each time that it begins; empty when it has ended; else None.
        """
        differs = reward != self._reward
        self._in_a_row = 1 if differs else self._in_a_row + 1
        self._reward = reward
        self._trained += 1
        if differs and self._said:
            self._said = False
            return ""
        if not self._said and self._in_a_row >= (self._enough_first if self._in_a_row == self._trained else IN_A_ROW):
            self._said = True
            return self._remark(trial)
        return None

    def _remark(self, trial: int) -> str:
        everything = self._in_a_row == self._trained
        learnt = (
            "the reward model finds no proposal better than another, so they are trained as they are drawn"
            if everything and self._reward_model
            else "nothing can be learnt from them"
        )
        return (
            f"{'all' if everything else 'the last'} {self._in_a_row} trained architectures, up to trial {trial}, have "
            f"the reward {self._reward:g}: {learnt}. See whether the task measures {self._metric} rightly, and whether "
            "spec.reward tells its values apart"
        )
