"""Seeded draws that depend on nothing but (seed, feature): not on order, blocks or workers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def mixed(value: Any) -> Any:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014): uint64 in, uint64 out."""
    value = (value ^ (value >> np.uint64(30))) * MIX_1
    value = (value ^ (value >> np.uint64(27))) * MIX_2
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def first_state(seed: int, feature: int) -> Any:
    """The generator's state for one feature; neighbouring seeds and features share no sequence."""
    return mixed(mixed(np.uint64(seed) + GOLDEN) + np.uint64(feature) * GOLDEN)


@njit(cache=True, nogil=True)
def drawn(n: int, size: int, seed: int, feature: int) -> NDArray[np.int64]:
    """`size` of the numbers 0..n-1, ascending, each set equally likely; all of them where n <= size.

    Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S): one pass, in order.
    """
    if n <= size:
        return np.arange(n)
    chosen = np.empty(size, np.int64)
    state = first_state(seed, feature)
    n_chosen, number = 0, 0
    while n_chosen < size:
        state += GOLDEN
        uniform = np.float64(mixed(state) >> np.uint64(11)) * UNIT
        if uniform * (n - number) < size - n_chosen:
            chosen[n_chosen] = number
            n_chosen += 1
        number += 1
    return chosen
