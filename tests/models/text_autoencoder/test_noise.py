"""The noise: the published generator, and numbers that are Gumbel's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import gumbel_r, kstest

from precompute.models.text_autoencoder.noise import GumbelNoise, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_words_are_those_of_the_published_generator(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """The known answers of Random123."""
    found = philox(
        tuple(torch.tensor(word) for word in counter),  # type: ignore[arg-type]
        tuple(torch.tensor(word) for word in key),  # type: ignore[arg-type]
    )
    assert tuple(int(word) for word in found) == expected


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
