"""`spec.budget`: when a search ends."""

from pydantic import Field

from nas_api.spec.base import Duration, SpecModel


class Budget(SpecModel):
    """When a search ends: at the first bound that is reached."""

    max_trials: int | None = Field(default=12_800, ge=1, le=10_000_000)
    """Trials finished, failed ones included. The paper's 12,800 by default. null: no bound."""
    max_duration: Duration | None = None
    """Time that the search has run, pauses left out, such as `8h`. No bound by default."""
    target_reward: float | None = None
    """A reward that is good enough: the first trial that reaches it ends the search. No bound by default."""
    max_consecutive_failures: int = Field(default=50, ge=1, le=1_000_000)
    """Trials failed in a row that end the search as failed: something is wrong with the data, the task or the image."""
