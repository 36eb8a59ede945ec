"""A sample keeps sparse regions, and whoever is not in it joins its neighbours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from precompute.embeddings.sampled_layout import density_sample, join_neighbors, nearest_of
from precompute.geometry.knn import Neighbors, nearest
from precompute.geometry.layout import membership


@given(n=st.integers(0, 60), size=st.integers(1, 70), seed=st.integers(0, 2**64))
def test_a_sample_has_its_size_and_no_point_twice(n: int, size: int, seed: int) -> None:
    distance = np.random.default_rng(n).random(n)
    drawn = density_sample(distance, size, seed)
    assert len(drawn) == min(n, size)
    assert np.all(np.diff(drawn) > 0)
    np.testing.assert_array_equal(drawn, density_sample(distance, size, seed))


def test_points_are_drawn_in_proportion_to_their_distance() -> None:
    """Of one draw, the shares are the weights' own; 20,000 seeds, within five standard errors."""
    distance = np.array([0.1, 0.2, 0.3, 0.4])
    counts = np.bincount([int(density_sample(distance, 1, seed)[0]) for seed in range(20_000)], minlength=4)
    expected, error = 20_000 * distance, np.sqrt(20_000 * distance * (1 - distance))
    assert np.all(np.abs(counts - expected) < 5 * error)


def test_duplicates_at_distance_zero_are_drawn_last() -> None:
    distance = np.array([0.0] * 50 + [0.3] * 10)
    assert set(range(50, 60)) <= set(density_sample(distance, 12, 5).tolist())


@given(seed=st.integers(0, 1000))
def test_a_point_joins_the_mean_of_its_placed_neighbours(seed: int) -> None:
    generator = np.random.default_rng(seed)
    graph = nearest(generator.normal(size=(40, 5)).astype(np.float32), 6)
    points = generator.normal(size=(40, 2)).astype(np.float32)
    points[generator.random(40) < 0.5] = np.nan
    has_place = np.isfinite(points[:, 0])
    joined, strength = join_neighbors(points, graph), membership(graph)
    np.testing.assert_array_equal(joined[has_place], points[has_place])
    for row in np.flatnonzero(~has_place):
        near = [(j, w) for j, w in zip(graph.index[row], strength[row], strict=True) if has_place[j]]
        if near:
            weights = np.array([w for _, w in near])
            expected = weights @ points[[j for j, _ in near]].astype(np.float64) / weights.sum()
            np.testing.assert_allclose(joined[row], expected, rtol=1e-5, atol=1e-6)


def test_places_are_handed_on_from_neighbour_to_neighbour() -> None:
    chain = Neighbors(np.array([[1], [0], [1], [2], [5], [4]]), np.full((6, 1), 0.5))
    points = np.full((6, 2), np.nan, np.float32)
    points[0] = (3, 4)
    joined = join_neighbors(points, chain)
    np.testing.assert_array_equal(joined[:4], np.tile(np.float32([3, 4]), (4, 1)))
    assert np.isnan(joined[4:]).all()


def test_the_nearest_is_that_of_the_highest_cosine() -> None:
    generator = np.random.default_rng(2)
    vectors, queries = generator.normal(size=(200, 8)), generator.normal(size=(90, 8))
    cosine = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (
        vectors / np.linalg.norm(vectors, axis=1)[:, None]
    ).T
    found = nearest_of(queries.astype(np.float32), vectors.astype(np.float32))
    np.testing.assert_array_equal(found, cosine.argmax(axis=1))
