"""Histograms of rows of effects are numpy's, and one row that is no number touches no other."""

from __future__ import annotations

import numpy as np

from precompute.features.kernels.distributions import row_histograms


def test_counts_are_those_of_numpy_beside_a_row_that_is_no_number() -> None:
    matrix = np.random.default_rng(0).normal(size=(4, 200)).astype(np.float32)
    matrix[1, 7], matrix[3, 0] = np.nan, np.inf
    low, high = matrix.min(axis=1).astype(np.float64), matrix.max(axis=1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        edges = np.linspace(low, high, 11, axis=1)
    counts = np.zeros((4, 10), np.int64)
    row_histograms(matrix, edges, counts)
    for row in (0, 2):
        np.testing.assert_array_equal(counts[row], np.histogram(matrix[row], bins=edges[row])[0])
    assert counts[[1, 3]].sum() == 0
