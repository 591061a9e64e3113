"""Standardised pixels have mean 0 and deviation 1."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from nas_child.data.standardization import Standardization

CPU = torch.device("cpu")


@given(channels=st.integers(1, 3), count=st.integers(2, 20), seed=st.integers(0, 1000))
def test_standardised_images_have_mean_0_and_deviation_1_in_each_channel(channels: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, 5, 4), dtype=torch.uint8, generator=generator)
    standardised = Standardization.of(images).on(CPU)(images)
    assert standardised.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (standardised.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_a_channel_of_one_value_becomes_0() -> None:
    images = torch.full((4, 1, 3, 3), 7, dtype=torch.uint8)
    assert bool((Standardization.of(images).on(CPU)(images) == 0).all())
