"""`spec.reward`: from the metrics of a trial to the number that the policy maximises."""

from typing import Literal

from pydantic import Field

from nas_api.spec.base import ShortText, SpecModel


class FailedTrial(SpecModel):
    """What an architecture that cannot be trained is worth."""

    reward: float = 0.0
    """The reward of a failed trial. Rewards of others should lie above it."""


class Reward(SpecModel):
    """reward = scale * aggregate(metric) ^ exponent.

    The paper's reward for images, (maximum validation accuracy of the last 5 epochs)^3, is the default. Its reward for
    language, c / perplexity^k with c = 80, is `metric: val_perplexity, aggregate: Min, scale: 80, exponent: -3`.
    """

    metric: ShortText = "val_accuracy"
    """The name under which the task reports it."""
    aggregate: Literal["Max", "Min", "Mean", "Last"] = "Max"
    """How the values of the window become one."""
    window: int | None = Field(default=5, ge=1, le=100_000)
    """How many of the last reported values count. null: all."""
    scale: float = 1.0
    """Factor."""
    exponent: float = Field(default=3.0, ge=-100, le=100)
    """Power. Negative for a metric that is better when lower."""
    failed_trial: FailedTrial = FailedTrial()
    """What an architecture that cannot be trained is worth."""
