"""Counting activations into equal bins, each feature over its own range, as numpy.histogram does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True, inline="always")
def bin_of(value: float, low: float, width: float, per_unit: float, n_bins: int) -> Any:
    """The bin of a value from low on, as numpy.histogram has it; `per_unit` is n_bins / (high - low).

    The product may be off by one near an edge, so it is corrected against the edges, which are
    low + i * width, as numpy.linspace has them: they alone decide.
    """
    number = int((value - low) * per_unit)
    # What is no number must not be counted outside the table.
    number = min(max(number, 0), n_bins - 1)
    if value < number * width + low:
        number = max(number - 1, 0)
    elif number != n_bins - 1 and value >= (number + 1) * width + low:
        number += 1
    return number


@njit(cache=True, nogil=True)
def count_rows(
    features: NDArray[Any],
    acts: NDArray[np.float32],
    low: Floats,
    high: Floats,
    width: Floats,
    counts: NDArray[np.uint32],
) -> None:
    """Count non-zeros in row-major order into `counts` [d_sae, n_bins]; every feature is below d_sae."""
    n_bins = counts.shape[1]
    per_unit = n_bins / (high - low)
    for k in range(len(features)):
        f = features[k]
        counts[f, bin_of(np.float64(acts[k]), low[f], width[f], per_unit[f], n_bins)] += 1


@njit(cache=True, nogil=True)
def count_block(
    indptr: NDArray[np.int64],
    acts: NDArray[np.float32],
    low: Floats,
    high: Floats,
    width: Floats,
    counts: NDArray[np.uint32],
) -> None:
    """Count a block of features into `counts` [n_features, n_bins]."""
    n_bins = counts.shape[1]
    for f in range(len(indptr) - 1):
        per_unit = n_bins / (high[f] - low[f])
        for k in range(indptr[f], indptr[f + 1]):
            counts[f, bin_of(np.float64(acts[k]), low[f], width[f], per_unit, n_bins)] += 1
