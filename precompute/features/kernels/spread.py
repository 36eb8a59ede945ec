"""What a feature's activations need a second look for: squares about its mean, distinct examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def squares_about(indptr: Ints, acts: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of (activation - mean)^2 over each feature's non-zeros; float64 [n_features]."""
    squares = np.zeros(len(indptr) - 1)
    for f in range(len(indptr) - 1):
        for k in range(indptr[f], indptr[f + 1]):
            difference = np.float64(acts[k]) - mean[f]
            squares[f] += difference * difference
    return squares


@njit(cache=True, nogil=True)
def distinct_examples(indptr: Ints, rows: NDArray[Any], row_place: NDArray[Any]) -> Ints:
    """On how many examples each feature fires; int64 [n_features]. Rows ascend.

    `row_place` [n_rows] counts the rows of a row's example that come before it.
    """
    distinct = np.zeros(len(indptr) - 1, np.int64)
    for f in range(len(indptr) - 1):
        before = np.int64(-1)
        for k in range(indptr[f], indptr[f + 1]):
            row = np.int64(rows[k])
            distinct[f] += row - before > np.int64(row_place[row])
            before = row
    return distinct
