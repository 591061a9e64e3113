"""Quantities in words."""

import pytest
from nas_cli import wording


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (912, "912"), (999.4, "999"), (999.6, "1k"), (4_230_000, "4.23M"), (37.4e6, "37.4M"), (6e16, "6e+04T")],
)
def test_counts_have_three_digits_and_a_unit(number: float, text: str) -> None:
    assert wording.count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m 00s"), (185, "3m 05s"), (3599.9, "1h 00m"),
        (7800, "2h 10m"), (370_800, "4d 07h"),
    ],
)  # fmt: skip
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text
