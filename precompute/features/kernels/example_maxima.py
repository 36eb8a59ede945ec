"""Which features fire on each example: how often, and how strongly at most."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def example_maxima(entry_indptr: Ints, features: Any, acts: Any, first: int, stop: int, d_sae: int) -> Any:
    """Count and maximum of each feature on each example, for features from `first` up to `stop`.

    Example e's entries are `entry_indptr[e]:entry_indptr[e + 1]` of `features` and `acts`. Returns (indptr
    [n_examples + 1], features, maximum, count), features ascending within an example.
    """
    n_examples, n = len(entry_indptr) - 1, len(features)
    indptr = np.zeros(n_examples + 1, np.int64)
    out_feature, out_largest, out_count = (
        np.empty(n, np.int64),
        np.empty(n, np.float32),
        np.empty(n, np.int64),
    )
    count, largest = np.zeros(d_sae, np.int64), np.zeros(d_sae, np.float32)
    end = 0
    for e in range(n_examples):
        begin = end
        for i in range(entry_indptr[e], entry_indptr[e + 1]):
            f = np.int64(features[i])
            if f < first or f >= stop:
                continue
            if count[f] == 0:
                out_feature[end] = f
                largest[f] = acts[i]
                end += 1
            count[f] += 1
            largest[f] = max(largest[f], acts[i])
        out_feature[begin:end].sort()
        for j in range(begin, end):
            f = out_feature[j]
            out_largest[j], out_count[j] = largest[f], count[f]
            count[f] = 0
        indptr[e + 1] = end
    return indptr, out_feature[:end], out_largest[:end], out_count[:end]
