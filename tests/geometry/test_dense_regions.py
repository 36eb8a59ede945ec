"""Dense regions of a map, by either search."""

from __future__ import annotations

import numpy as np
import pytest

from precompute.geometry.clusters import OUTSIDE
from precompute.geometry.dense_regions import dense_regions


@pytest.mark.parametrize("many", [10_000, pytest.param(100, marks=pytest.mark.full)])
def test_blobs_are_found_the_largest_first(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precompute.geometry.dense_regions.MANY_POINTS", many)
    draw = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], [60, 90, 30])
    points = np.array([[0, 0], [20, 0], [0, 20]])[group] + draw.normal(size=(180, 2))
    found = dense_regions(points.astype(np.float32), 20)
    for number, planted in enumerate((1, 0, 2)):
        members = found[group == planted]
        assert (members[members != OUTSIDE] == number).all()
        assert (members == number).mean() > 0.7


@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_too_few_points_are_in_no_cluster(n: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    assert dense_regions(points, 8).tolist() == [OUTSIDE] * n


@pytest.mark.parametrize("n", [5, 6, 30])
def test_as_many_points_as_the_smallest_cluster(n: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    assert len(dense_regions(points, n)) == n
    assert len(dense_regions(points, 2)) == n
