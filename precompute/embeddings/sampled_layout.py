"""The plane of a set too large to lay out whole: a sample is laid out, the others join their neighbours."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64

from precompute.geometry.knn import Neighbors
from precompute.geometry.layout import membership

CELLS_PER_BLOCK = 2**24
"""Cosines in one block of a search (64 MB)."""


def density_sample(distance: Float64[np.ndarray, " n"], size: int, seed: int) -> Int64[np.ndarray, " size"]:
    """`size` of n points, drawn without replacement in proportion to their distances, in ascending order.

    `distance` is each one's mean distance to its neighbours: sparse regions keep more of theirs, so that
    they are not lost among the many of the dense ones. Drawn are the largest of log(w) + Gumbel noise, which
    is the order of log(u) / w in Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006).
    All points where there are no more than `size`.
    """
    if len(distance) <= size:
        return np.arange(len(distance))
    noise = np.random.default_rng(seed % 2**63).gumbel(size=len(distance))
    keys = np.log(np.maximum(distance, np.finfo(float).tiny)) + noise
    drawn: Int64[np.ndarray, " size"] = np.sort(np.argpartition(-keys, size - 1)[:size])
    return drawn


def join_neighbors(points: Float32[np.ndarray, "n 2"], graph: Neighbors) -> Float32[np.ndarray, "n 2"]:
    """Places for the points that have none (NaN): the mean of their placed neighbours'.

    The mean is weighted by membership in the fuzzy graph, as UMAP places new points before it moves them. It
    goes outward in rounds from those that have a place; NaN stays where no path leads to one.
    """
    placed, strength = points.copy(), membership(graph).astype(np.float32)
    while True:
        (open_rows,) = np.nonzero(np.isnan(placed[:, 0]))
        near = placed[graph.index[open_rows]]
        weight = np.where(np.isnan(near[:, :, 0]), 0.0, strength[open_rows])
        total = weight.sum(axis=1)
        found = total > 0
        if not found.any():
            return placed
        mean = (weight[:, :, None] * np.nan_to_num(near)).sum(axis=1)[found] / total[found, None]
        placed[open_rows[found]] = mean


def nearest_of(
    queries: Float32[np.ndarray, "m d"], vectors: Float32[np.ndarray, "n d"]
) -> Int64[np.ndarray, " m"]:
    """The row of the vector with the highest cosine to each query; the first of equal ones. n >= 1."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    size = max(1, CELLS_PER_BLOCK // len(vectors))
    blocks = [np.argmax(queries[a : a + size] @ unit.T, axis=1) for a in range(0, len(queries), size)]
    return np.concatenate([np.zeros(0, np.int64), *blocks])
