"""`spec.reward`: from the metrics of a trial to the number that the policy maximises."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nas_api.spec.base import NoneAs, ShortText, SpecModel


class FailedTrial(SpecModel):
    """What an architecture that cannot be trained is worth."""

    reward: float = Field(default=0.0, ge=-1e9, le=1e9)
    """The reward of a failed trial. It should lie below the reward of any that trains, so below zero with a negative
    `scale`."""


class Reward(SpecModel):
    """reward = scale * aggregate(metric) ^ exponent.

    The paper's reward for images, (maximum validation accuracy of the last 5 epochs)^3, is the default. Its reward for
    language, c / (validation perplexity)^k with c = 80, is `{metric: val_perplexity, aggregate: Min, window: all,
    scale: 80, exponent: -3}`. On k the sources differ: a review of the paper has k = 3, two sets of notes on it have
    k = 2 (`exponent: -2`). The larger k, the more the policy prefers the very best to the good. Rewards of different
    k cannot be compared.
    """

    metric: ShortText = "val_accuracy"
    """The name under which the task reports what is rewarded. `image-classification` reports `val_accuracy`, `val_loss`
    and `train_loss` after each epoch."""
    aggregate: Literal["Max", "Min", "Mean", "Last"] = "Max"
    """How the values in the window become one."""
    window: Annotated[int | None, Field(ge=1, le=100_000), NoneAs("all")] = 5
    """How many of the values reported last count. `all`: every one."""
    scale: float = Field(default=1.0, ge=-1e9, le=1e9)
    """Factor. Not zero. A negative one makes rewards negative: `failedTrial.reward` must then be set, too."""
    exponent: float = Field(default=3.0, ge=-100, le=100)
    """Power. Negative for a metric that is better when lower, not zero."""
    failed_trial: FailedTrial = FailedTrial()
    """What an architecture that cannot be trained is worth."""

    @model_validator(mode="after")
    def _depends_on_the_metric(self) -> Self:
        if self.scale == 0 or self.exponent == 0:
            raise ValueError("scale and exponent must not be zero: every architecture would have the same reward")
        return self

    @model_validator(mode="after")
    def _a_failed_trial_is_no_success(self) -> Self:
        if self.scale < 0 and self.failed_trial.reward >= 0:
            raise ValueError(
                f"scale {self.scale:g} makes rewards negative, and a failed trial, worth {self.failed_trial.reward:g}, "
                "would be the best: set failedTrial.reward below the reward of any that trains"
            )
        return self

    @property
    def prefers_high(self) -> bool:
        """Whether a higher metric makes a higher reward."""
        return self.scale * self.exponent > 0
