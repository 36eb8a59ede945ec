"""A 2-D map of vectors from their neighbour graph: UMAP's algorithm on our own exact graph.

After McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection" (2018). Written
out here, since umap-learn takes 15 s to import and compile, repeats the neighbour search, and gives other
bytes with other thread counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from precompute.geometry.knn import Neighbors

CURVE_A, CURVE_B = 1.5769434602, 0.8950608779
"""1 / (1 + a d^(2b)) fitted to UMAP's spread 1 and min_dist 0.1."""
N_NEGATIVE = 5
"""Random points that repel a point for each neighbour that attracts it."""
EXTENT = 10.0
"""Half width of the first map."""
GRID = 1e-4
"""First coordinates are rounded to this, to be free of the last bits of linear algebra."""


@dataclass(frozen=True)
class Edges:
    """A weighted graph, every edge in both directions, in order of head and tail."""

    head: Int64[np.ndarray, " n_edges"]
    tail: Int64[np.ndarray, " n_edges"]
    weight: Float64[np.ndarray, " n_edges"]
    """Membership strength in (0, 1]."""


def fuzzy_graph(neighbors: Neighbors) -> Edges:
    """The symmetric fuzzy neighbour graph of vectors that all have neighbours, by cosine distance.

    p_j|i = exp(-max(0, d_ij - rho_i) / sigma_i), rho_i the distance to the nearest, sigma_i such that they
    sum to log2(k); then p_ij = p_j|i + p_i|j - p_j|i p_i|j (section 3.1 of the paper).
    """
    from scipy.sparse import csr_array

    n, k = neighbors.index.shape
    if k == 0:
        none = np.zeros(0, dtype=np.int64)
        return Edges(none, none, np.zeros(0))
    strength, shape = membership(neighbors), (n, n)
    directed = csr_array((strength.ravel(), neighbors.index.ravel(), np.arange(0, n * k + 1, k)), shape=shape)
    directed = directed.sorted_indices()  # a copy: the neighbours stay in their order
    union = (directed + directed.T - directed * directed.T).tocoo()
    order = np.lexsort((union.col, union.row))
    head, tail = union.row[order].astype(np.int64), union.col[order].astype(np.int64)
    return Edges(head, tail, union.data[order])


def membership(neighbors: Neighbors) -> Float64[np.ndarray, "n k"]:
    """How strongly each vector belongs with each of its neighbours, p_j|i in (0, 1] as in `fuzzy_graph`."""
    from precompute.geometry.kernels.forces import bandwidths

    k = neighbors.index.shape[1]
    distance = np.maximum(0.0, 1.0 - neighbors.cosine)
    # Identical vectors are at distance 0: as in UMAP, rho is the smallest distance above it.
    rho = np.where(distance > 0, distance, np.inf).min(axis=1)
    rho[np.isinf(rho)] = 0.0
    # umap-learn counts the point itself among its k, so its target for these k is that of k + 1.
    sigma = bandwidths(distance, rho, float(np.log2(k + 1)))
    sigma = np.maximum(sigma, 1e-3 * distance.mean(axis=1) + np.finfo(float).tiny)
    strength: np.ndarray = np.exp(-np.maximum(0.0, distance - rho[:, None]) / sigma[:, None])
    return strength


def principal_plane(vectors: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n 2"]:
    """The vectors' unit directions on their first two principal axes, scaled to EXTENT, on a fixed grid.

    Axes are turned so that their greatest entry is positive.
    """
    values = vectors.astype(np.float64)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    values -= values.mean(axis=0)
    axes = np.linalg.eigh(values.T @ values)[1][:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    plane = np.zeros((len(values), 2))
    plane[:, : axes.shape[1]] = values @ axes
    widest = np.abs(plane).max(initial=0.0)
    return np.asarray(np.round(plane * (EXTENT / widest if widest > 0 else 1.0) / GRID) * GRID)


def _ignore(_: int) -> None:
    """Report to nobody."""


def lay_out(
    start: Float64[np.ndarray, "n 2"],
    edges: Edges,
    n_epochs: int,
    seed: int,
    advance: Callable[[int], None] = _ignore,
) -> Float32[np.ndarray, "n 2"]:
    """Move the points so that neighbours lie together; `advance` is told each epoch.

    Stochastic gradient descent as in the paper's algorithm 5: an edge is drawn in proportion to its weight,
    the step falls linearly to 0. One thread and one seed: the same input gives the same bytes.
    """
    from precompute.geometry.kernels.forces import one_epoch

    generator = np.random.default_rng(seed % 2**63)
    # Equal vectors start apart by a hair, or nothing would ever part them.
    points = start + generator.normal(scale=GRID, size=start.shape)
    state = generator.integers(1, 2**63, size=1, dtype=np.uint64)
    often = edges.weight * n_epochs >= edges.weight.max(initial=0.0)  # due at least once in all epochs
    head, tail = edges.head[often], edges.tail[often]
    period: Any = edges.weight.max(initial=0.0) / edges.weight[often]
    due = period.copy()
    for epoch in range(n_epochs):
        step = 1.0 - epoch / n_epochs
        one_epoch(points, head, tail, period, due, epoch, step, N_NEGATIVE, CURVE_A, CURVE_B, state)
        advance(1)
    return points.astype(np.float32)
