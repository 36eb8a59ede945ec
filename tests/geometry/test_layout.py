"""Maps: the neighbour graph against its formulas, and what the layout must keep."""

from __future__ import annotations

import numpy as np
import pytest

from precompute.geometry.knn import Neighbors, nearest
from precompute.geometry.layout import GRID, fuzzy_graph, lay_out, principal_plane


def planted(n: int = 300, n_groups: int = 6, d: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Directions around a few centres, and the centre of each."""
    rng = np.random.default_rng(5)
    group = rng.integers(0, n_groups, n)
    vectors = rng.normal(size=(n_groups, d))[group] + 0.3 * rng.normal(size=(n, d))
    return vectors.astype(np.float32), group


def strengths(neighbors: Neighbors) -> np.ndarray:
    """float64 [n, n]: p_j|i, sigma found by a fine search."""
    n, k = neighbors.index.shape
    dense = np.zeros((n, n))
    for i in range(n):
        excess = np.maximum(0, (1 - neighbors.cosine[i]) - (1 - neighbors.cosine[i]).min())
        sigmas = np.geomspace(1e-4, 1e3, 200_001)
        sums = np.exp(-excess[None, :] / sigmas[:, None]).sum(axis=1)
        sigma = sigmas[np.abs(sums - np.log2(k + 1)).argmin()]
        dense[i, neighbors.index[i]] = np.exp(-excess / sigma)
    return dense


def test_graph_is_the_union_of_the_directed_strengths() -> None:
    vectors, _ = planted(40)
    neighbors = nearest(vectors, 5)
    directed = strengths(neighbors)
    expected = directed + directed.T - directed * directed.T
    edges = fuzzy_graph(neighbors)
    found = np.zeros_like(expected)
    found[edges.head, edges.tail] = edges.weight
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diff(edges.head) >= 0).all()
    assert edges.weight.min() > 0
    assert edges.weight.max() <= 1


def test_graph_leaves_the_neighbours_as_they_are() -> None:
    neighbors = nearest(planted(40)[0], 5)
    before = neighbors.index.copy()
    fuzzy_graph(neighbors)
    np.testing.assert_array_equal(neighbors.index, before)


@pytest.mark.full
def test_graph_equals_that_of_umap_learn() -> None:
    umap = pytest.importorskip("umap.umap_")
    vectors, _ = planted(400)
    found = nearest(vectors, 15)
    index = np.column_stack([np.arange(400), found.index]).astype(np.int32)
    distance = np.column_stack([np.zeros(400), 1 - found.cosine]).astype(np.float32)
    theirs, *_ = umap.fuzzy_simplicial_set(
        vectors, 16, np.random.RandomState(0), "cosine", knn_indices=index, knn_dists=distance
    )
    edges, dense = fuzzy_graph(found), np.zeros((400, 400))
    dense[edges.head, edges.tail] = edges.weight
    np.testing.assert_allclose(dense, theirs.toarray(), atol=1e-4)


def test_neighbours_stay_together() -> None:
    vectors, group = planted()
    points = lay_out(principal_plane(vectors), fuzzy_graph(nearest(vectors, 10)), 100, seed=0)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(axis=1)] == group).mean() > 0.98
    assert points.dtype == np.float32
    assert np.isfinite(points).all()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    vectors, _ = planted(100)
    start, graph = principal_plane(vectors), fuzzy_graph(nearest(vectors, 6))
    first = lay_out(start, graph, 20, seed=1).tobytes()
    assert lay_out(start, graph, 20, seed=1).tobytes() == first
    assert lay_out(start, graph, 20, seed=2).tobytes() != first
    assert lay_out(start, graph, 20, seed=-1).tobytes() != first


def test_equal_vectors_are_parted_and_stay_near() -> None:
    vectors, _ = planted(60)
    vectors[:10] = vectors[0]
    points = lay_out(principal_plane(vectors), fuzzy_graph(nearest(vectors, 12)), 50, seed=0)
    assert len(np.unique(points[:10], axis=0)) == 10
    assert np.isfinite(points).all()


def test_principal_plane_is_that_of_the_singular_vectors() -> None:
    vectors = planted(50)[0].astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * values[:2]
    expected *= 10 / np.abs(expected).max()
    found = principal_plane(vectors.astype(np.float32))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2 * GRID)


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 1), (3, 2)])
def test_small_maps(n: int, d: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    start = principal_plane(vectors)
    assert start.shape == (n, 2)
    points = lay_out(start, fuzzy_graph(nearest(vectors, 2)), 10, seed=0)
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
