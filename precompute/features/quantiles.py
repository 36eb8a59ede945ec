"""Exact quantiles of each feature's non-zero activations, a block of features at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from precompute.stores.feature_store import FeatureBlock


def block_quantiles(block: FeatureBlock, probabilities: Sequence[float]) -> NDArray[np.float64]:
    """float64 [n_features, n_probabilities], linear between order statistics; NaN for a silent feature.

    The rule and the rounding are those of numpy.quantile (Hyndman and Fan 1996, type 7).
    """
    wanted = np.asarray(probabilities, dtype=np.float64)
    found = np.full((block.n_features, len(wanted)), np.nan)
    for feature in np.flatnonzero(np.diff(block.indptr)):
        found[feature] = _quantiles(block.acts[block.indptr[feature] : block.indptr[feature + 1]], wanted)
    return found


def _quantiles(values: NDArray[np.float32], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    # numpy.quantile does the same at several times the cost a call, and there is one for each feature.
    last = len(values) - 1
    place = last * probabilities
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, last)
    # Selecting is linear in the values, where sorting is not; NumPy does it in vector code.
    selected = np.partition(values, np.unique([below, above]))
    return _between(selected[below].astype(np.float64), selected[above].astype(np.float64), place - below)


def _between(
    low: NDArray[np.float64], high: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation that is exact at both ends, as NumPy's own."""
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
