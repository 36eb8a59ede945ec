"""Clusters of vectors from their neighbour graph, and the tokens that set each apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32
from numpy.typing import NDArray

from precompute.geometry.communities import find_communities
from precompute.geometry.layout import Edges

OUTSIDE = -1
"""The cluster of a point that belongs to none."""
RESOLUTION_UNIT = 700
"""Points for one unit of resolution: clusters keep their size, some 15 to 25, as points grow in number."""


def find_clusters(edges: Edges, n: int, min_size: int, seed: int) -> Int32[np.ndarray, " n"]:
    """The communities of n points' neighbour graph; -1 is none, 0 the largest cluster.

    On the graph rather than on its 2-D map: a plane cannot keep the neighbours of nearly orthogonal vectors.
    A community of fewer than `min_size` is none. Clusters of one size are numbered by their first point.
    """
    found = find_communities(edges, n, max(1.0, n / RESOLUTION_UNIT), seed)
    sizes = np.bincount(found, minlength=1)
    return by_size(np.where(sizes[found] >= min_size, found, OUTSIDE))


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
