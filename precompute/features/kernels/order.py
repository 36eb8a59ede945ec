"""Order statistics of each feature's activations, by counting instead of sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
MOST_BUCKETS = 4096
SIGN = np.uint32(0x80000000)


@njit(cache=True, nogil=True, inline="always")
def ordered(bits: Any) -> Any:
    """A number that orders as the float32 with these bits does; its own inverse is `bits_of`."""
    return ~bits if bits & SIGN else bits | SIGN


@njit(cache=True, nogil=True, inline="always")
def bits_of(key: Any) -> Any:
    """The bits of the float32 that has this place in the order."""
    return key & ~SIGN if key & SIGN else ~key


@njit(cache=True, nogil=True)
def order_statistics(indptr: Ints, bits: NDArray[np.uint32], ranks: Ints) -> NDArray[np.uint32]:
    """The values of given ranks, 0 the smallest, among each feature's activations; uint32 bits, as `ranks`.

    `bits` [n_nonzero] are those of float32 activations; `ranks` [n_features, n_ranks] lie below the feature's
    number of non-zeros. A silent feature has zeros.

    Values fall into buckets of equal width in the order of floats, which is near to that of their logarithms;
    only buckets that hold a wanted rank are gathered and sorted. Two passes, whatever the number of ranks.
    """
    n_features, n_ranks = ranks.shape
    found = np.zeros((n_features, n_ranks), np.uint32)
    gathered = np.empty(np.diff(indptr).max() if n_features else 0, np.uint32)
    ends, cursor = np.empty(MOST_BUCKETS + 1, np.int64), np.empty(MOST_BUCKETS, np.int64)
    for f in range(n_features):
        start, stop = indptr[f], indptr[f + 1]
        if start == stop:
            continue
        lowest, highest = _range(bits, start, stop)
        shift = _shift(highest - lowest, stop - start)
        n_buckets = int((highest - lowest) >> shift) + 1
        ends[: n_buckets + 1] = 0
        for k in range(start, stop):
            ends[np.int64((ordered(bits[k]) - lowest) >> shift) + 1] += 1
        for b in range(n_buckets):
            ends[b + 1] += ends[b]
        cursor[:n_buckets] = -1
        size = 0
        for r in range(n_ranks):
            b = _bucket(ends, n_buckets, ranks[f, r])
            if cursor[b] < 0:
                cursor[b] = size
                size += int(ends[b + 1] - ends[b])
        for k in range(start, stop):
            key = ordered(bits[k])
            b = int((key - lowest) >> shift)
            if cursor[b] >= 0:
                gathered[cursor[b]] = key
                cursor[b] += 1
        for b in range(n_buckets):
            if cursor[b] >= 0:
                gathered[cursor[b] - (ends[b + 1] - ends[b]) : cursor[b]].sort()
        for r in range(n_ranks):
            b = _bucket(ends, n_buckets, ranks[f, r])
            found[f, r] = bits_of(gathered[cursor[b] - ends[b + 1] + ranks[f, r]])
    return found


@njit(cache=True, nogil=True, inline="always")
def _range(bits: NDArray[np.uint32], start: Any, stop: Any) -> Any:
    lowest, highest = np.uint32(0xFFFFFFFF), np.uint32(0)
    for k in range(start, stop):
        key = ordered(bits[k])
        lowest, highest = min(lowest, key), max(highest, key)
    return lowest, highest


@njit(cache=True, nogil=True, inline="always")
def _shift(span: Any, n: Any) -> Any:
    """So wide are buckets, as a power of two, that there are no more of them than pays for n values."""
    shift = np.uint32(0)
    while np.int64(span >> shift) >= min(MOST_BUCKETS, max(n, 1)):
        shift += np.uint32(1)
    return shift


@njit(cache=True, nogil=True, inline="always")
def _bucket(ends: Ints, n_buckets: Any, rank: Any) -> int:
    """The bucket that holds a rank; `ends` [n_buckets + 1] begins at 0."""
    low, high = 0, n_buckets - 1
    while low < high:
        middle = (low + high) // 2
        if ends[middle + 1] > rank:
            high = middle
        else:
            low = middle + 1
    return low
