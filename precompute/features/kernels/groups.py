"""A feature's active rows grouped by an integer code of the row: its token, or its n-gram."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from precompute.features.kernels.leaders import leaders

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
HASH = 0x9E3779B1
"""Odd multiplier near 2^32 / golden ratio: consecutive codes fall on different slots (Knuth 3, 6.4)."""


@njit(cache=True, nogil=True)
def table_size(n: int) -> int:
    """Slots of a hash table at most half full with n codes: a power of two."""
    size = 2
    while size < 2 * n:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def group(
    row_codes: Any,
    rows: Any,
    acts: Any,
    table: Ints,
    code: Ints,
    count: Floats,
    total: Floats,
    largest: Floats,
) -> int:
    """Group rows by code, in the order in which codes first occur; returns the number of groups.

    `table` is scratch of at least `table_size(len(rows))`; the other four receive one entry a group and
    hold at least len(rows). Rows whose code is negative belong to no group. Sums run in row order.
    """
    n_groups, mask = 0, table_size(len(rows)) - 1
    table[: mask + 1] = -1
    for i in range(len(rows)):
        key = np.int64(row_codes[rows[i]])
        if key < 0:
            continue
        slot = (key * HASH) & mask
        while table[slot] >= 0 and code[table[slot]] != key:
            slot = (slot + 1) & mask
        g = table[slot]
        if g < 0:
            g = n_groups
            table[slot], code[g], count[g], total[g], largest[g] = g, key, 0.0, 0.0, acts[i]
            n_groups += 1
        count[g] += 1
        total[g] += acts[i]
        largest[g] = max(largest[g], np.float64(acts[i]))
    return n_groups


@njit(cache=True, nogil=True)
def block_groups(row_codes: Any, indptr: Ints, rows: Any, acts: Any) -> Any:
    """All groups of each feature of a block: (group_indptr [n_features + 1], code, count, total, largest)."""
    n, n_features = len(rows), len(indptr) - 1
    table = np.empty(table_size(np.max(np.diff(indptr))), np.int64)
    group_indptr = np.zeros(n_features + 1, np.int64)
    code, count, total, largest = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n)
    for f in range(n_features):
        first, last, out = indptr[f], indptr[f + 1], group_indptr[f]
        group_indptr[f + 1] = out + group(
            row_codes,
            rows[first:last],
            acts[first:last],
            table,
            code[out:],
            count[out:],
            total[out:],
            largest[out:],
        )
    n = group_indptr[-1]
    return group_indptr, code[:n], count[:n], total[:n], largest[:n]


@njit(cache=True, nogil=True)
def leading_groups(row_codes: Any, indptr: Ints, rows: Any, acts: Any, size: int) -> Any:
    """The `size` groups of each feature of a block with the greatest count, then mean, then smallest code.

    Returns (n_kept [n_features], code, count, total, largest, each [n_features, size]).
    """
    n_features, longest = len(indptr) - 1, np.max(np.diff(indptr))
    table = np.empty(table_size(longest), np.int64)
    code, mean = np.empty(longest, np.int64), np.empty(longest)
    count, total, largest = np.empty(longest), np.empty(longest), np.empty(longest)
    n_kept, best = np.zeros(n_features, np.int64), np.empty(size, np.int64)
    kept_code = np.zeros((n_features, size), np.int64)
    kept_count, kept_total = np.zeros((n_features, size)), np.zeros((n_features, size))
    kept_largest = np.zeros((n_features, size))
    for f in range(n_features):
        first, last = indptr[f], indptr[f + 1]
        n = group(row_codes, rows[first:last], acts[first:last], table, code, count, total, largest)
        mean[:n] = total[:n] / count[:n]
        n_kept[f] = leaders(count, mean, code, n, best)
        for rank in range(n_kept[f]):
            g = best[rank]
            kept_code[f, rank], kept_count[f, rank] = code[g], count[g]
            kept_total[f, rank], kept_largest[f, rank] = total[g], largest[g]
    return n_kept, kept_code, kept_count, kept_total, kept_largest
