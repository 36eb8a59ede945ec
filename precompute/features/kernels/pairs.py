"""Features that fire together: for each feature, all the others counted over the rows it fires on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SLACK = 1 - 1e-12
"""Keeps a bound that is rounded from sparing a pair that would have tied."""
AHEAD = 64
"""Rows that are brought into the cache before they are counted."""
LINE = 64
"""Bytes of a line of the cache."""


@njit(cache=True, nogil=True, inline="always")
def is_ahead(jaccard: float, other: int, best: Floats, others: Ints, place: int) -> Any:
    """Whether a candidate comes before the one in `place`: greater Jaccard index, then smaller number."""
    return jaccard > best[place] or (jaccard == best[place] and other < others[place])


@njit(cache=True, nogil=True)
def enter(jaccard: float, other: int, best: Floats, others: Ints, length: int) -> int:
    """Enter a candidate into a list of the first; returns the list's new length."""
    size = len(best)
    if length == size and not is_ahead(jaccard, other, best, others, size - 1):
        return length
    place = min(length, size - 1)
    longer = place + 1
    while place > 0 and is_ahead(jaccard, other, best, others, place - 1):
        best[place], others[place] = best[place - 1], others[place - 1]
        place -= 1
    best[place], others[place] = jaccard, other
    return max(longer, length)


@njit(cache=True, nogil=True)
def touched(
    rows: NDArray[np.uint32], begins: Ints, indptr: Ints, features: NDArray[Any], acts: NDArray[np.float32]
) -> float:
    """Bring rows into the cache, and write where each begins; the sum has no meaning but must be used.

    Rows of one feature lie far apart. Loads that wait for nothing overlap; met one by one while counting,
    each row would wait for its own memory, which took three fifths of the time.
    """
    seen = 0.0
    for i in range(len(rows)):
        begins[i] = indptr[rows[i]]
    for i in range(len(rows)):
        stop = indptr[rows[i] + 1]
        for j in range(begins[i], stop, LINE // features.itemsize):
            seen += features[j]
        for j in range(begins[i], stop, LINE // acts.itemsize):
            seen += acts[j]
    return seen


@njit(cache=True, nogil=True)
def met_on(rows: NDArray[np.uint32], indptr: Ints, features: NDArray[Any], count: Any, met: Any) -> int:
    """Write the features that the rows hold, each once, into `met`; returns how many.

    `count` int32 [d_sae] is above 0 for just these, and is left as it is.
    """
    n_met, n_entries = 0, 0
    for i in range(len(rows)):
        n_entries += indptr[rows[i] + 1] - indptr[rows[i]]
    # No branch in the loops: whether a feature is met for the first time cannot be predicted.
    if n_entries >= len(count):
        for g in range(len(count)):
            met[n_met] = g
            n_met += count[g] > 0
        return n_met
    for i in range(len(rows)):
        for j in range(indptr[rows[i]], indptr[rows[i] + 1]):
            g = features[j]
            met[n_met] = g
            n_met += count[g] > 0
            count[g] = -abs(count[g])
    for m in range(n_met):
        count[met[m]] = -count[met[m]]
    return n_met


@njit(cache=True, nogil=True)
def most_overlapping(
    first: int,
    stop: int,
    group: Ints,
    group_rows: NDArray[np.uint32],
    group_acts: NDArray[np.float32],
    indptr: Ints,
    features: NDArray[Any],
    acts: NDArray[np.float32],
    others: Ints,
    n_both: Ints,
    products: Floats,
) -> float:
    """For features first..stop-1, the others of greatest Jaccard index, the smaller number first on a tie.

    The rows come twice: by row (`indptr`, `features`, `acts`) and by feature (`group` int64 [d_sae + 1],
    `group_rows`, `group_acts`, rows ascending). Fills [stop - first, n] of `others` (-1 for none), `n_both`
    and `products` (sum of a*b over common rows). Work grows with the pairs that meet, not with d_sae^2.
    Returns what keeps the compiler from leaving `touched` out.
    """
    d_sae, n = len(group) - 1, others.shape[1]
    # Small enough to stay in the cache: they are what every meeting touches.
    count, product = np.zeros(d_sae, np.int32), np.zeros(d_sae)
    met, best = np.empty(d_sae + 1, np.int32), np.empty(n)
    begins, seen = np.empty(AHEAD, np.int64), 0.0
    for f in range(first, stop):
        for start in range(group[f], group[f + 1], AHEAD):
            rows = group_rows[start : min(start + AHEAD, group[f + 1])]
            seen += touched(rows, begins, indptr, features, acts)
            for k in range(len(rows)):
                act = np.float64(group_acts[start + k])
                for j in range(begins[k], indptr[rows[k] + 1]):
                    g = features[j]
                    count[g] += 1
                    product[g] += act * np.float64(acts[j])
        n_met = met_on(group_rows[group[f] : group[f + 1]], indptr, features, count, met)
        n_f, length, slot = group[f + 1] - group[f], 0, f - first
        for m in range(n_met):
            g = met[m]
            # The union is no smaller than f's own rows: this bound spares most pairs the rest.
            if g == f or (length == n and count[g] < best[n - 1] * n_f * SLACK):
                continue
            jaccard = count[g] / (n_f + group[g + 1] - group[g] - count[g])
            length = enter(jaccard, g, best, others[slot], length)
        for place in range(length):
            n_both[slot, place] = count[others[slot, place]]
            products[slot, place] = product[others[slot, place]]
        for m in range(n_met):
            count[met[m]], product[met[m]] = 0, 0.0
    return seen
