"""What all shards of a row-major store say of each feature together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.stores.row_store import RowStore


@dataclass(frozen=True)
class FeatureTotals:
    """Statistics of each feature's non-zero activations over a whole store."""

    count: NDArray[np.int64]
    """int64 [d_sae]."""
    smallest: NDArray[np.float64]
    """float64 [d_sae]; +inf for a silent feature."""
    largest: NDArray[np.float64]
    """float64 [d_sae]; -inf for a silent feature."""
    total: NDArray[np.float64]
    """float64 [d_sae]: partial sums added in the order of the shards, so that nothing else decides the
    last bit."""


def feature_totals(store: RowStore) -> FeatureTotals:
    """Merge the statistics that the shards carry; reads no activation."""
    total = np.zeros(store.d_sae)
    smallest, largest = np.full(store.d_sae, np.inf), np.full(store.d_sae, -np.inf)
    for number in range(store.n_shards):
        total += store.values(number, "stat_sum")
        np.minimum(smallest, store.values(number, "stat_min"), out=smallest)
        np.maximum(largest, store.values(number, "stat_max"), out=largest)
    return FeatureTotals(feature_counts(store), smallest, largest, total)


def feature_counts(store: RowStore) -> NDArray[np.int64]:
    """Non-zeros of each feature over the whole store; int64 [d_sae]."""
    count = np.zeros(store.d_sae, np.int64)
    for number in range(store.n_shards):
        count += store.values(number, "stat_count")
    return count
