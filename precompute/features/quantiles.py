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
    from precompute.features.kernels.order import order_statistics

    last = np.diff(block.indptr)[:, None] - 1
    place = last * np.asarray(probabilities, dtype=np.float64)
    below = np.floor(place).astype(np.int64)
    ranks = np.concatenate([below, np.minimum(below + 1, last)], axis=1)
    bits = order_statistics(block.indptr, block.acts.view(np.uint32), ranks)
    low, high = np.split(bits.view(np.float32).astype(np.float64), 2, axis=1)
    return np.where(last >= 0, _between(low, high, place - below), np.nan)


def _between(
    low: NDArray[np.float64], high: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation that is exact at both ends, as NumPy's own."""
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
