"""Clusters of the points of a 2-D map, and the tokens that set each apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32
from numpy.typing import NDArray

OUTSIDE = -1
"""The cluster of a point that belongs to none."""
CORE_POINTS = 5
"""Points within a point's core distance: HDBSCAN's min_samples."""


def find_clusters(points: Float32[np.ndarray, "n 2"], min_size: int) -> Int32[np.ndarray, " n"]:
    """HDBSCAN (Campello, Moulavi and Sander 2013) on the map; -1 is none, 0 the largest cluster.

    Clusters of one size are numbered by their first point.
    """
    if len(points) < max(min_size, CORE_POINTS):
        return np.full(len(points), OUTSIDE, dtype=np.int32)
    from sklearn.cluster import HDBSCAN

    # Leaves: on a map without gaps, excess of mass would keep one cluster that holds nearly all.
    search = HDBSCAN(
        min_cluster_size=min_size, min_samples=CORE_POINTS, cluster_selection_method="leaf", copy=True
    )
    return by_size(search.fit(points.astype(np.float64)).labels_)


def by_size(labels: NDArray[Any]) -> Int32[np.ndarray, " n"]:
    """Number clusters anew: the largest first, of one size the one that comes first."""
    inside = np.flatnonzero(labels >= 0)
    _, first, number, size = np.unique(
        labels[inside], return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -size))
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    renumbered = np.full(len(labels), OUTSIDE, dtype=np.int32)
    renumbered[inside] = rank[number]
    return renumbered


@dataclass(frozen=True)
class ClassTerms:
    """Terms of classes with their class TF-IDF, by class, greatest first."""

    group: NDArray[np.int64]
    term: NDArray[np.int64]
    score: NDArray[np.float64]


def class_tfidf(group: NDArray[Any], term: NDArray[Any], weight: NDArray[Any]) -> ClassTerms:
    """Class TF-IDF of weighted terms (Grootendorst 2022, equation 2): W = tf_tc * ln(1 + A / f_t).

    The three arrays, one entry a (member, term): the member's class, the term, its weight. tf_tc is the
    term's share of its class's weight, f_t its sum of shares over classes, A the mean of all shares' sum a
    class, which is 1. Equal scores go to the smaller term.
    """
    if not len(group):
        empty = np.zeros(0, np.int64)
        return ClassTerms(empty, empty, np.zeros(0))
    span = int(term.max()) + 1
    pairs, number = np.unique(group.astype(np.int64) * span + term, return_inverse=True)
    groups, terms = pairs // span, pairs % span
    total = np.bincount(number, weights=weight)
    share = total / np.maximum(np.bincount(groups, weights=total), np.finfo(float).tiny)[groups]
    score = share * np.log1p(1.0 / np.maximum(np.bincount(terms, weights=share), np.finfo(float).tiny)[terms])
    order = np.lexsort((terms, -score, groups))
    return ClassTerms(groups[order], terms[order], score[order])
