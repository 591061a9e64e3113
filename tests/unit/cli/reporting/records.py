"""Trials, leases and updates that never were."""

from collections.abc import Sequence

from nas_controller.journal.journal import LeaseSpan, SampledTrial, TrialRecord, TrialState, UpdateRecord
from nas_controller.proposal import Proposal


def trial(
    number: int,
    reward: float | None,
    *,
    state: TrialState | None = None,
    digest: str = "",
    parameters: int = 1000,
    seconds: float = 10.0,
    replay_of: int | None = None,
    reason: str = "",
) -> TrialRecord:
    """A finished trial; without a reward it has failed."""
    sampled = SampledTrial(number, 1, Proposal((), 1), "", digest or f"digest-{number}", parameters)
    return TrialRecord(
        sampled,
        0,
        state or (TrialState.FAILED if reward is None else TrialState.SUCCEEDED),
        sequence=number,
        reward=reward or 0.0,
        reason=reason,
        train_seconds=seconds,
        replay_of=replay_of,
    )


def trials(rewards: Sequence[float | None]) -> list[TrialRecord]:
    """Trials of different architectures with these rewards, in the order in which they finished."""
    return [trial(number, reward) for number, reward in enumerate(rewards, 1)]


def update(version: int, *, entropy: float | None = 1.0, baseline: float | None = 0.5) -> UpdateRecord:
    """An update after every four trials."""
    return UpdateRecord(version, version, 0, baseline, entropy, None, 0.25, 4 * version, 0.0)


def span(
    pool: str, begin: float, end: float | None, *, worker: str = "w", ended: str = "Finished", device: float = 0.0
) -> LeaseSpan:
    """A lease; without an end it is held."""
    return LeaseSpan(1, 0, worker, pool, begin, end, "" if end is None else ended, device)
