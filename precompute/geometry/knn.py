"""Exact k nearest neighbours by cosine, by blocked matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64

from precompute.executors.executor import Executor
from precompute.executors.local import Threads

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
    return nearest_on(Threads(workers), lambda: vectors, k, advance)


def nearest_on(
    executor: Executor,
    load: Callable[[], Float32[np.ndarray, "n d"]],
    k: int,
    advance: Callable[[int], None] = _ignore,
    sees: Path | None = None,
) -> Neighbors:
    """The same of the vectors that `load` reads, here and wherever pieces run, so it must travel."""
    vectors = np.ascontiguousarray(load(), dtype=np.float32)
    norms = _norms(vectors)
    present = np.flatnonzero(norms > 0)
    k = min(k, max(0, len(present) - 1))
    index = np.full((len(vectors), k), -1, dtype=np.int64)
    cosines = np.full((len(vectors), k), np.nan)
    advance(len(vectors) - len(present))
    del vectors
    if k:
        parts = []
        firsts = range(0, len(present), _block_size(len(present)))
        for part in executor.map(partial(_ranking, load, k), firsts, sees):
            parts.append(part)
            advance(len(part.index))
        index[present] = present[np.concatenate([part.index for part in parts])]
        cosines[present] = np.concatenate([part.cosine for part in parts])
    return Neighbors(index, cosines)


def _norms(vectors: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, " n"]:
    norms: Float64[np.ndarray, " n"] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return norms


def _block_size(n: int) -> int:
    return max(1, SCORES_PER_BLOCK // n)


def _ranking(load: Callable[[], Float32[np.ndarray, "n d"]], k: int) -> Callable[[int], Neighbors]:
    """Ranks a block of the present vectors, which begins with the given one; numbered among them."""
    from precompute.geometry.kernels.nearest import rank_block

    vectors = np.ascontiguousarray(load(), dtype=np.float32)
    norms = _norms(vectors)
    vectors, norms = vectors[norms > 0], norms[norms > 0]
    n, d = vectors.shape
    unit = (vectors / norms[:, None]).astype(np.float32)
    # Each of two scores is off by at most (d + 4) roundings: the products' sum, and the unit vectors' own.
    margin, size = 2 * (d + 4) * ROUNDING, _block_size(n)

    def ranked(first: int) -> Neighbors:
        stop = min(n, first + size)
        index, value = np.empty((stop - first, k), np.int64), np.empty((stop - first, k))
        rank_block(unit[first:stop] @ unit.T, vectors, 1 / norms, first, margin, index, value)
        return Neighbors(index, value)

    return ranked
