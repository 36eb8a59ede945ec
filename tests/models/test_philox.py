"""The counter-based generator gives the words that its authors publish to test by."""

from __future__ import annotations

import pytest
import torch

from precompute.models.philox import philox

ALL_ONES = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL_ONES,) * 4, (ALL_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Counter, key and output of philox4x32 with 10 rounds."""


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
@pytest.mark.parametrize("of_tensors", [False, True])
def test_philox_gives_its_published_values(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...], of_tensors: bool
) -> None:
    """With one key for all counters, or one for each."""
    words = philox(
        tuple(torch.tensor([word]) for word in counter),  # type: ignore[arg-type]
        tuple(torch.tensor([word]) for word in key) if of_tensors else key,  # type: ignore[arg-type]
    )
    assert tuple(int(word) for word in words) == expected
