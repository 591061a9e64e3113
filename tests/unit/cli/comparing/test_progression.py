"""What counts as the best architectures of a search after so many trials."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_cli.comparing.progression import progression
from nas_controller.journal.journal import SampledTrial, TrialRecord, TrialState
from nas_controller.proposal import Proposal


def finished(*results: tuple[str, float | None], state: TrialState = TrialState.SUCCEEDED) -> list[TrialRecord]:
    """Trials of architectures by digest, with a reward or, without one, failed."""
    return [
        TrialRecord(
            SampledTrial(number, 1, Proposal((), 1), "", digest),
            0,
            TrialState.FAILED if reward is None else state,
            sequence=number,
            reward=reward or 0.0,
        )
        for number, (digest, reward) in enumerate(results, 1)
    ]


results = st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrst"), st.none() | st.floats(-1, 1)), max_size=40)


@given(results)
def test_it_is_the_mean_of_the_highest_rewards_of_different_architectures(
    trials: list[tuple[str, float | None]],
) -> None:
    found = progression(finished(*trials))
    for index in range(len(trials)):
        best: dict[str, float] = {}
        for digest, reward in trials[: index + 1]:
            if reward is not None:
                best[digest] = max(reward, best.get(digest, -math.inf))
        for statistic, count in (("best", 1), ("top5", 5), ("top15", 15)):
            top = sorted(best.values())[-count:]
            assert found[statistic][index] == pytest.approx(np.mean(top) if top else math.nan, nan_ok=True, abs=1e-12)


def test_an_architecture_that_is_trained_again_does_not_count_twice() -> None:
    found = progression(finished(("a", 0.9), ("a", 0.8), ("b", 0.5), ("a", 1.0)))
    assert found["top5"].tolist() == pytest.approx([0.9, 0.9, 0.7, 0.75])


def test_a_failed_trial_counts_as_a_trial_and_not_among_the_best() -> None:
    found = progression(finished(("a", None), ("b", -0.5), ("c", None)))
    assert math.isnan(found["best"][0])
    assert found["best"][1:].tolist() == [-0.5, -0.5]


def test_a_trial_stopped_early_has_not_shown_what_it_is_worth() -> None:
    found = progression(finished(("a", 0.9), state=TrialState.STOPPED_EARLY))
    assert np.isnan(found["best"]).all()
