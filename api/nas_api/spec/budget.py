"""`spec.budget`: when a search ends."""

from typing import Annotated

from pydantic import Field

from nas_api.spec.base import Duration, NoneAs, SpecModel


class Budget(SpecModel):
    """When a search ends: at the first bound that is reached."""

    max_trials: Annotated[int | None, Field(ge=1, le=10_000_000), NoneAs("unlimited")] = 12_800
    """Trials finished, failed ones included. The paper's 12,800 by default. `unlimited`: no bound."""
    max_duration: Duration | None = None
    """Time that the search has run, pauses left out, such as `8h`. No bound by default."""
    target_reward: float | None = None
    """A reward that is good enough: the first trial that reaches it ends the search. No bound by default."""
    max_consecutive_failures: int = Field(default=50, ge=1, le=1_000_000)
    """Trials failed in a row that end the search as failed: something is wrong with the data, the task or the image."""
