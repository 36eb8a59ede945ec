"""Transposing sparse activations: collecting features from shards, or sorting shards and gathering.

Activations are moved as bits (uint32 or uint16), since numba has no float16; the values do not matter here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def sort_by_feature(
    indptr: Ints, features: NDArray[Any], bits: NDArray[Any], d_sae: int
) -> tuple[Ints, NDArray[np.uint32], NDArray[Any]]:
    """The non-zeros of one shard grouped by feature, rows ascending; every feature is below d_sae.

    Returns int64 [d_sae + 1] (where each feature's group lies), uint32 [n_nonzero] (rows of the shard), and
    the bits in that order.
    """
    group = np.zeros(d_sae + 1, np.int64)
    for k in range(len(features)):
        group[features[k] + 1] += 1
    for f in range(d_sae):
        group[f + 1] += group[f]
    cursor = group[:-1].copy()
    rows, sorted_bits = np.empty(len(features), np.uint32), np.empty_like(bits)
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            place = cursor[features[k]]
            cursor[features[k]] = place + 1
            rows[place] = row
            sorted_bits[place] = bits[k]
    return group, rows, sorted_bits


@njit(cache=True, nogil=True)
def select_by_feature(
    indptr: Ints,
    features: NDArray[Any],
    bits: NDArray[Any],
    first_feature: int,
    group: Ints,
    out_rows: NDArray[np.uint32],
    out_bits: NDArray[Any],
) -> bool:
    """The entries of consecutive features in one shard, grouped by feature, rows ascending.

    `group` int64 [n_features + 1] says where each feature's entries go, from 0 on. Returns whether each
    feature has as many as that; where it has more, they are left out.
    """
    n_features = len(group) - 1
    cursor = group[:-1].copy()
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            f = np.int64(features[k]) - first_feature
            if 0 <= f < n_features:
                place = cursor[f]
                if place < group[f + 1]:
                    out_rows[place] = row
                    out_bits[place] = bits[k]
                cursor[f] = place + 1
    return bool(np.all(cursor == group[1:]))


@njit(cache=True, nogil=True)
def append_groups(
    group: Ints,
    rows: NDArray[np.uint32],
    bits: NDArray[Any],
    first_row: int,
    cursor: Ints,
    ends: Ints,
    all_rows: NDArray[Any],
    all_bits: NDArray[Any],
) -> None:
    """Append one shard's groups of consecutive features to those of the shards before it.

    `group` int64 [n_features + 1] tells where they lie in the shard, from group[0] on; `cursor`
    int64 [n_features] tells where the next entry of each feature goes, and moves on, never beyond the next
    feature, `ends` int64 [n_features + 1]. `first_row` numbers the shard's first row over the store.
    """
    for f in range(len(cursor)):
        place = cursor[f]
        for k in range(group[f] - group[0], group[f + 1] - group[0]):
            if place < ends[f + 1]:
                all_rows[place] = rows[k] + first_row
                all_bits[place] = bits[k]
            place += 1
        cursor[f] = place
