"""Exact quantiles of each feature's non-zero activations, a block of features at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from precompute.stores.feature_store import FeatureBlock

SIGN = np.uint32(2**31)


def sorted_acts(block: FeatureBlock) -> NDArray[np.float32]:
    """Activations in ascending order within each feature; float32 [n_nonzero].

    One sort of 64-bit keys (feature, then activation), which NumPy does in vector code.
    """
    bits = block.acts.astype(np.float32, copy=False).view(np.uint32)
    # Flipping the sign bit, or all bits of a negative number, makes IEEE floats ascend as integers.
    ordered = np.where(bits & SIGN, ~bits, bits | SIGN)
    owners = np.repeat(np.arange(block.n_features, dtype=np.uint64), np.diff(block.indptr))
    keys = np.sort((owners << np.uint64(32)) | ordered)
    ordered = (keys & np.uint64(2**32 - 1)).astype(np.uint32)
    return np.where(ordered & SIGN, ordered ^ SIGN, ~ordered).view(np.float32)


def block_quantiles(block: FeatureBlock, probabilities: Sequence[float]) -> NDArray[np.float64]:
    """float64 [n_features, n_probabilities], linear between order statistics; NaN for a silent feature.

    The rule and the rounding are those of numpy.quantile (Hyndman and Fan 1996, type 7).
    """
    counts = np.diff(block.indptr)
    found = np.full((block.n_features, len(probabilities)), np.nan)
    active = counts > 0
    place = (counts[active, None] - 1) * np.asarray(probabilities, dtype=np.float64)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, counts[active, None] - 1)
    values, starts = sorted_acts(block).astype(np.float64), block.indptr[:-1][active, None]
    found[active] = _between(values[starts + below], values[starts + above], place - below)
    return found


def _between(
    low: NDArray[np.float64], high: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation that is exact at both ends, as NumPy's own."""
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
