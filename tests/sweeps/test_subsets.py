"""Weights of best of K: against enumeration over all subsets."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.errors import UsageError
from precompute.sweeps.subsets import subset_weights, weights_by_subset, weights_of_first


@given(st.integers(1, 60), st.data())
def test_weights_are_ratios_of_binomials(n_samples: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n_samples))
    expected = [comb(n_samples - i, k - 1) / comb(n_samples, k) for i in range(1, n_samples + 1)]
    np.testing.assert_allclose(subset_weights(n_samples, k), expected, rtol=1e-12, atol=1e-15)
    assert subset_weights(n_samples, k).sum() == pytest.approx(1.0)


@given(st.integers(1, 7), st.integers(0, 2**32 - 1), st.booleans())
def test_the_weighted_sum_is_the_mean_over_all_subsets(n_samples: int, seed: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    errors = (
        generator.integers(0, 3, (4, n_samples)).astype(float) if ties else generator.random((4, n_samples))
    )
    values = generator.normal(size=(4, n_samples))
    k_values = list(range(1, n_samples + 1))
    weights = weights_by_subset(errors, k_values)
    for k in k_values:
        subsets = [list(chosen) for chosen in combinations(range(n_samples), k)]
        for row in range(4):
            best = [chosen[int(errors[row, chosen].argmin())] for chosen in subsets]
            found = weights[row, k - 1] @ values[row]
            np.testing.assert_allclose(found, values[row, best].mean(), rtol=1e-12, atol=1e-12)


def test_the_nested_curve_takes_the_best_of_the_first() -> None:
    errors = np.array([[3.0, 1.0, 2.0, 0.5], [1.0, 1.0, 4.0, 1.0]])
    weights = weights_of_first(errors, [1, 2, 3, 4])
    assert weights.argmax(-1).tolist() == [[0, 1, 1, 3], [0, 0, 0, 0]]
    assert (weights.sum(-1) == 1).all()


def test_many_samples_keep_their_precision() -> None:
    weights = subset_weights(5000, 1000)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(weights) <= 0).all()


@pytest.mark.parametrize(("n_samples", "k"), [(4, 5), (4, 0), (0, 1)])
def test_k_beyond_the_pool_is_refused(n_samples: int, k: int) -> None:
    with pytest.raises(UsageError, match="raise `n_samples` or lower `k_values`"):
        subset_weights(n_samples, k)
