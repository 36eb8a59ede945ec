"""Clusters as dense regions of a 2-D map: HDBSCAN."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32

from precompute.geometry.clusters import OUTSIDE, by_size

MANY_POINTS = 20_000
"""From so many points on, fast_hdbscan searches: its time grows as n log n, scikit-learn's as n².

Below it scikit-learn's is done before the other is compiled.
"""
CORE_POINTS = 5
"""Points within a point's core distance: HDBSCAN's min_samples."""


def dense_regions(points: Float32[np.ndarray, "n 2"], min_size: int) -> Int32[np.ndarray, " n"]:
    """HDBSCAN (Campello, Moulavi and Sander 2013) on the map; -1 is none, 0 the largest cluster.

    Clusters of one size are numbered by their first point.
    """
    if len(points) < max(min_size, CORE_POINTS):
        return np.full(len(points), OUTSIDE, dtype=np.int32)
    # Leaves: on a map without gaps, excess of mass would keep one cluster that holds nearly all.
    chosen = {"min_cluster_size": min_size, "min_samples": CORE_POINTS, "cluster_selection_method": "leaf"}
    if len(points) >= MANY_POINTS:
        import fast_hdbscan

        search = fast_hdbscan.HDBSCAN(**chosen, reproducible=True)
    else:
        from sklearn.cluster import HDBSCAN

        search = HDBSCAN(**chosen, copy=True)
    return by_size(search.fit(points.astype(np.float64)).labels_)
