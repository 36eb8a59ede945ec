"""Draws: a fair sample that depends on seed and feature alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from precompute.features.kernels.draws import drawn, mixed


def split_mix(state: int) -> int:
    """SplitMix64's output function in Python's own integers."""
    mask = 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & mask
    return state ^ (state >> 31)


@given(st.integers(0, 2**64 - 1))
def test_the_generator_is_split_mix_64(state: int) -> None:
    assert int(mixed(np.uint64(state))) == split_mix(state)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_a_draw_is_an_ascending_subset_of_the_size_asked_for(
    n: int, size: int, seed: int, feature: int
) -> None:
    found = drawn(n, size, seed, feature).tolist()
    assert found == sorted(set(found))
    assert len(found) == min(n, size)
    assert all(0 <= number < n for number in found)
    assert found == drawn(n, size, seed, feature).tolist()


def test_every_number_is_drawn_equally_often() -> None:
    n, size, n_draws = 20, 5, 8000
    counts = np.bincount(np.concatenate([drawn(n, size, 3, f) for f in range(n_draws)]), minlength=n)
    expected, spread = n_draws * size / n, np.sqrt(n_draws * 0.25 * 0.75)
    assert np.abs(counts - expected).max() < 5 * spread


def test_features_and_seeds_draw_apart() -> None:
    draws = {tuple(drawn(1000, 5, seed, feature)) for seed in range(30) for feature in range(30)}
    assert len(draws) == 900
