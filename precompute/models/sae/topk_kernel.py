"""Exact top-k of wide rows, compiled: much quicker than sorting, and ties go to the lower feature."""

from __future__ import annotations

import numpy as np
from numba import njit

MIN_LANES = 256
LANES_PER_KEPT = 8


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def top_k_rows(pre_acts, k, features, acts, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Write, for each row, the positive ones among its k largest values, features ascending.

    pre_acts: float32 [n_rows, d_sae], without NaN; features: int64 [n_rows, k]; acts: float32 [n_rows, k];
    counts: int64 [n_rows], how many were written.

    A row is split into lanes (feature modulo the number of lanes), and each lane's maximum taken. The k-th
    largest maximum cannot exceed the k-th largest value, so only lanes that reach it are searched.
    """
    n_rows, width = pre_acts.shape
    n_lanes = min(width, max(MIN_LANES, LANES_PER_KEPT * k))
    maxima = np.empty(n_lanes, dtype=np.float32)
    found = np.empty(width, dtype=np.int64)
    values = np.empty(width, dtype=np.float32)
    for row in range(n_rows):
        line = pre_acts[row]
        maxima[:] = line[:n_lanes]
        first = n_lanes
        while first + n_lanes <= width:
            for lane in range(n_lanes):
                value = line[first + lane]
                maxima[lane] = value if value > maxima[lane] else maxima[lane]
            first += n_lanes
        for lane in range(width - first):
            value = line[first + lane]
            maxima[lane] = value if value > maxima[lane] else maxima[lane]

        bound = np.partition(maxima, n_lanes - k)[n_lanes - k]
        n_found = 0
        for lane in range(n_lanes):
            if maxima[lane] >= bound and maxima[lane] > 0:
                for feature in range(lane, width, n_lanes):
                    value = line[feature]
                    if value >= bound and value > 0:
                        found[n_found] = feature
                        values[n_found] = value
                        n_found += 1
        counts[row] = keep_largest(found[:n_found], values[:n_found], k, features[row], acts[row])


@njit(cache=True, nogil=True)
def keep_largest(found, values, k, features, acts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Write the k largest of the values found, features ascending, ties to the lower; how many there are."""
    order = np.argsort(found)
    n_found = found.shape[0]
    if n_found <= k:
        for slot in range(n_found):
            features[slot] = found[order[slot]]
            acts[slot] = values[order[slot]]
        return n_found
    smallest_kept = np.partition(values, n_found - k)[n_found - k]
    ties_left = k
    for slot in range(n_found):
        if values[slot] > smallest_kept:
            ties_left -= 1
    kept = 0
    for slot in range(n_found):
        value = values[order[slot]]
        if value > smallest_kept or (value == smallest_kept and ties_left > 0):
            features[kept] = found[order[slot]]
            acts[kept] = value
            kept += 1
            if value == smallest_kept:
                ties_left -= 1
    return kept
