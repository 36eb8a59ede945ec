"""Exact k nearest neighbours by cosine, by blocked matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from precompute.executors import map_ordered

SCORES_PER_BLOCK = 2**23
"""Cosines in one block of the product (32 MB); fixed, so that nothing depends on workers."""
ROUNDING = 2.0**-24
"""Unit roundoff of float32."""


@dataclass(frozen=True)
class Neighbors:
    """The nearest vectors to each vector, itself excluded, nearest first; ties in order of index."""

    index: Int64[np.ndarray, "n k"]
    """-1 for a vector of norm zero, which has no neighbours."""
    cosine: Float64[np.ndarray, "n k"]
    """NaN where `index` is -1."""


def _ignore(_: int) -> None:
    """Report to nobody."""


def nearest(
    vectors: Float32[np.ndarray, "n d"],
    k: int,
    workers: int = 1,
    advance: Callable[[int], None] = _ignore,
) -> Neighbors:
    """The k nearest of all vectors to each, by cosine; fewer where there are fewer vectors of non-zero norm.

    The product runs in float32; every candidate within its error bound of the k-th best is scored again in
    float64 in a fixed order. So the result is that of float64, whatever the block size, BLAS or number of
    threads. Memory: one block of scores a worker. `advance` is told the vectors done.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    present = np.flatnonzero(norms > 0)
    k = min(k, max(0, len(present) - 1))
    index = np.full((len(vectors), k), -1, dtype=np.int64)
    cosines = np.full((len(vectors), k), np.nan)
    advance(len(vectors) - len(present))
    if k:
        found = _nearest_present(vectors[present], norms[present], k, workers, advance)
        index[present], cosines[present] = present[found.index], found.cosine
    return Neighbors(index, cosines)


def _nearest_present(
    vectors: Float32[np.ndarray, "n d"],
    norms: Float64[np.ndarray, " n"],
    k: int,
    workers: int,
    advance: Callable[[int], None],
) -> Neighbors:
    from precompute.geometry.kernels.nearest import rank_block

    n, d = vectors.shape
    unit = (vectors / norms[:, None]).astype(np.float32)
    # Each of two scores is off by at most (d + 4) roundings: the products' sum, and the unit vectors' own.
    margin = 2 * (d + 4) * ROUNDING
    size = max(1, SCORES_PER_BLOCK // n)

    def block(first: int) -> Neighbors:
        stop = min(n, first + size)
        index, value = np.empty((stop - first, k), np.int64), np.empty((stop - first, k))
        rank_block(unit[first:stop] @ unit.T, vectors, 1 / norms, first, margin, index, value)
        return Neighbors(index, value)

    found = []
    for part in map_ordered(block, range(0, n, size), workers):
        found.append(part)
        advance(len(part.index))
    return Neighbors(np.concatenate([b.index for b in found]), np.concatenate([b.cosine for b in found]))
