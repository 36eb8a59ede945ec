"""The noise: numbers that are Gumbel's, and what they depend on."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import gumbel_r, kstest

from precompute.models.text_autoencoder.noise import GumbelNoise


def test_numbers_are_gumbels_and_finite() -> None:
    noise = GumbelNoise(np.array([5, 2**64 - 1], dtype=np.uint64), np.array([0, 1]), "cpu")
    numbers = noise.at(3, 50_001)
    assert numbers.shape == (2, 50_001)
    assert bool(torch.isfinite(numbers).all())
    for row in numbers.double().numpy():
        assert kstest(row, gumbel_r.cdf).pvalue > 1e-3


def test_a_number_depends_on_seed_sample_step_and_token_alone() -> None:
    seeds, samples = np.array([1, 2, 3], dtype=np.uint64), np.array([4, 0, 7])
    together = GumbelNoise(seeds, samples, "cpu").at(2, 11)
    for index in range(3):
        alone = GumbelNoise(seeds[index : index + 1], samples[index : index + 1], "cpu")
        assert torch.equal(alone.at(2, 11)[0], together[index])
        assert torch.equal(alone.at(2, 7)[0], together[index, :7])
        assert not torch.equal(alone.at(1, 11)[0], together[index])
