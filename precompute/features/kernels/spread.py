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
def distinct_examples(indptr: Ints, rows: Ints, row_example: NDArray[Any]) -> Ints:
    """On how many examples each feature fires; int64 [n_features]. Rows ascend, and so do their examples."""
    distinct = np.zeros(len(indptr) - 1, np.int64)
    for f in range(len(indptr) - 1):
        for k in range(indptr[f], indptr[f + 1]):
            if k == indptr[f] or row_example[rows[k]] != row_example[rows[k - 1]]:
                distinct[f] += 1
    return distinct
