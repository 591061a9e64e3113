"""What the lines of a curve are, and that the picture is drawn whatever the search was like."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from nas_cli.drawing.curve import best_so_far, draw_curve, moving_mean, top_mean
from nas_controller.journal.journal import SampledTrial, TrialRecord, TrialState, UpdateRecord
from nas_controller.proposal import Proposal

rewards = st.lists(st.floats(-10, 10), min_size=1, max_size=60)


@given(rewards)
def test_lines_are_what_their_labels_say(values: list[float]) -> None:
    for index in range(len(values)):
        seen = values[: index + 1]
        assert best_so_far(values)[index] == max(seen)
        assert top_mean(values, 15)[index] == pytest.approx(np.mean(sorted(seen)[-15:]), abs=1e-9)
        assert moving_mean(values, 7)[index] == pytest.approx(np.mean(seen[-7:]), abs=1e-9)


def finished(values: Sequence[float | None]) -> list[TrialRecord]:
    return [
        TrialRecord(
            SampledTrial(number, 1, Proposal((), 1), "", ""),
            0,
            TrialState.FAILED if value is None else TrialState.SUCCEEDED,
            sequence=number,
            reward=value or 0.0,
        )
        for number, value in enumerate(values, 1)
    ]


def updates(count: int, *, entropy: float | None, baseline: float | None) -> list[UpdateRecord]:
    return [UpdateRecord(n, n, 0, baseline, entropy, None, 0.5, 8 * n, 0.0) for n in range(1, count + 1)]


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_picture_is_800_pixels_wide_and_names_its_lines() -> None:
    figure = draw_curve("digits", finished([0.1, 0.5, None] * 8), updates(3, entropy=1.2, baseline=0.3))
    assert tuple(figure.get_size_inches() * figure.dpi) == (800, 600)
    assert labels(figure) == [
        "trial", "failed trial", "baseline (moving mean)", "mean of the best 15 so far", "best so far",
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in figure.axes] == ["reward", "entropy\n(nats a decision)"]


def test_without_a_policy_there_is_the_mean_of_the_last_trials_and_no_entropy() -> None:
    figure = draw_curve("random", finished([0.1, 0.5] * 10), updates(2, entropy=None, baseline=None))
    assert "mean of the last 50" in labels(figure)
    assert len(figure.axes) == 1


def test_hopeless_trials_do_not_flatten_the_curve() -> None:
    values = [0.90, 0.92, 0.94, 0.96] * 10
    values[5] = 0.001
    figure = draw_curve("digits", finished([*values, None]), [])
    low, high = figure.axes[0].get_ylim()
    assert 0.8 < low < 0.9
    assert high > 0.96
    assert "trial below the scale" in labels(figure)


@pytest.mark.parametrize("values", [[0.5], [None], [0.5] * 30, [None] * 30, [0.1, None], list(np.linspace(0, 1, 2000))])
def test_it_is_drawn_whatever_the_rewards_are(values: list[float | None]) -> None:
    figure = draw_curve("digits", finished(values), [])
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
