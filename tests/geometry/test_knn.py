"""Nearest neighbours against a full float64 matrix of cosines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from precompute.geometry import knn
from precompute.geometry.knn import nearest

grids = hnp.arrays(np.float32, st.tuples(st.integers(1, 25), st.integers(1, 3)), elements=st.integers(-2, 2))


def cosines(vectors: np.ndarray) -> np.ndarray:
    """float64 [n, n]; -inf for a vector with itself, and where a norm is zero."""
    values = vectors.astype(np.float64)
    norms = np.linalg.norm(values, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (values @ values.T) / np.outer(norms, norms)
    np.fill_diagonal(found, -np.inf)
    return np.where(np.isfinite(found), found, -np.inf)


@pytest.mark.parametrize(("n", "d", "k"), [(60, 5, 7), (300, 64, 20), (9, 3, 8), (2, 4, 1)])
def test_random_vectors_get_the_nearest_of_all(n: int, d: int, k: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, d)).astype(np.float32)
    expected = cosines(vectors)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :k]
    found = nearest(vectors, k)
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.cosine, np.take_along_axis(expected, order, 1), rtol=0, atol=1e-12)


@given(grids, st.integers(1, 8))
def test_no_vector_left_out_is_nearer(vectors: np.ndarray, k: int) -> None:
    found, expected = nearest(vectors, k), cosines(vectors)
    n_present = int((np.abs(vectors).sum(axis=1) > 0).sum())
    for own, (index, cosine) in enumerate(zip(found.index, found.cosine, strict=True)):
        if not vectors[own].any():
            assert (index == -1).all()
            assert np.isnan(cosine).all()
            continue
        assert len(set(index.tolist()) - {own, -1}) == len(index) == min(k, n_present - 1)
        np.testing.assert_allclose(cosine, expected[own, index], rtol=0, atol=1e-12)
        assert (np.diff(cosine) <= 0).all()
        left_out = np.delete(expected[own], index)
        assert not len(index) or left_out.max(initial=-np.inf) <= cosine[-1] + 1e-12


def test_equal_vectors_come_in_order_of_index() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, 40)).astype(np.float32)[rng.integers(0, 4, 50)]
    found = nearest(vectors, 6)
    for own in range(50):
        twins = [i for i in np.flatnonzero((vectors == vectors[own]).all(axis=1)) if i != own]
        assert found.index[own].tolist()[: len(twins)] == twins[:6]


def test_zero_vectors_have_no_neighbours_and_are_none() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    vectors[[1, 4]] = 0
    found = nearest(vectors, 5)
    assert found.index.shape == (6, 3)
    assert (found.index[[1, 4]] == -1).all()
    assert not np.isin(found.index[[0, 2, 3, 5]], [1, 4, -1]).any()
    assert nearest(np.zeros((3, 2), np.float32), 2).index.shape == (3, 0)
    assert nearest(np.zeros((0, 2), np.float32), 2).index.shape == (0, 0)


@pytest.mark.parametrize("size", [1, 150, 2000])
def test_block_size_and_workers_do_not_matter(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(150, 33)).astype(np.float32)
    whole = nearest(vectors, 10)
    monkeypatch.setattr(knn, "SCORES_PER_BLOCK", size)
    for workers in (1, 2):
        part = nearest(vectors, 10, workers)
        assert part.index.tobytes() == whole.index.tobytes()
        assert part.cosine.tobytes() == whole.cosine.tobytes()


def test_length_does_not_matter_to_the_order() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(80, 12)).astype(np.float32)
    scaled = vectors * 2.0 ** rng.integers(-20, 20, (80, 1)).astype(np.float32)
    np.testing.assert_array_equal(nearest(vectors, 9).index, nearest(scaled, 9).index)


def test_progress_counts_every_vector() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    vectors[3] = 0
    told: list[int] = []
    nearest(vectors, 4, advance=told.append)
    assert sum(told) == 30
