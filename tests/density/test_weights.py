"""Weights of distances: against a slow twin, and the laws that they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from precompute.density.weights import (
    WeightSettings,
    distinct_weights,
    effective_sample_size,
    mean_distance,
    row_weights,
)
from tests.density import oracle

sizes = st.integers(1, 60)
positive = hnp.arrays(np.float64, sizes, elements=st.floats(1e-3, 2))
any_distance = hnp.arrays(np.float64, sizes, elements=st.sampled_from([0.0, 0.0, 1e-9, 0.1, 0.5, 2.0]))
chosen = st.builds(
    WeightSettings,
    alpha=st.floats(0, 4),
    favor=st.sampled_from(["rare", "dense"]),
    cap=st.floats(1, 20),
    mix=st.floats(0, 1),
)


@given(positive, chosen)
def test_weights_are_those_of_cutting_again_and_again(distances: np.ndarray, how: WeightSettings) -> None:
    sign = 1 if how.favor == "rare" else -1
    expected = oracle.weights(distances, how.alpha, sign, how.cap, how.mix)
    np.testing.assert_allclose(distinct_weights(distances, how), expected, rtol=1e-9, atol=1e-15)


@given(any_distance, chosen)
def test_weights_are_a_distribution_under_the_cap(distances: np.ndarray, how: WeightSettings) -> None:
    found = distinct_weights(distances, how)
    n = len(distances)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found >= how.mix / n * (1 - 1e-9)).all()
    assert found.max() <= max(how.cap, 1) / n * (1 + 1e-9)


@given(any_distance, chosen)
def test_a_rarer_text_never_weighs_less_and_equal_ones_weigh_the_same(
    distances: np.ndarray, how: WeightSettings
) -> None:
    found = distinct_weights(distances, how)
    order = np.argsort(distances, kind="stable")
    steps = np.diff(found[order]) * (1 if how.favor == "rare" else -1)
    assert (steps >= -1e-12).all()
    same = np.diff(distances[order]) == 0
    np.testing.assert_allclose(found[order][1:][same], found[order][:-1][same], rtol=1e-9)


@given(positive, chosen, st.floats(1e-3, 1e3), st.randoms(use_true_random=False))
def test_neither_scale_nor_order_matters(distances, how, scale, random) -> None:
    found = distinct_weights(distances, how)
    np.testing.assert_allclose(distinct_weights(distances * scale, how), found, rtol=1e-7, atol=1e-12)
    order = np.array(random.sample(range(len(distances)), len(distances)))
    np.testing.assert_allclose(distinct_weights(distances[order], how), found[order], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("value", [0.0, 1e-300, 0.3, 2.0])
@pytest.mark.parametrize("favor", ["rare", "dense"])
@pytest.mark.parametrize("n", [1, 2, 50])
def test_equal_distances_and_a_single_text_are_uniform(value: float, favor: str, n: int) -> None:
    found = distinct_weights(np.full(n, value), WeightSettings(favor=favor))
    np.testing.assert_allclose(found, 1 / n, rtol=1e-12)


@pytest.mark.parametrize("favor", ["rare", "dense"])
@pytest.mark.parametrize("n_zero", [1, 3, 97, 99])
def test_a_distance_of_zero_is_the_limit_of_a_vanishing_one(favor: str, n_zero: int) -> None:
    distances = np.linspace(0.2, 0.9, 100)
    how = WeightSettings(favor=favor, alpha=2)
    distances[:n_zero] = 0
    near_zero = distances.copy()
    near_zero[:n_zero] = 1e-60
    np.testing.assert_allclose(
        distinct_weights(distances, how), distinct_weights(near_zero, how), rtol=1e-9, atol=1e-15
    )


def test_sparse_regions_get_more_by_default_and_less_when_dense_is_favoured() -> None:
    distances = np.array([0.1, 0.2, 0.9])
    rare = distinct_weights(distances, WeightSettings())
    dense = distinct_weights(distances, WeightSettings(favor="dense"))
    assert rare.argmax() == 2
    assert dense.argmax() == 0
    np.testing.assert_allclose((rare - 0.1 / 3) / 0.9, distances / distances.sum())


def test_the_cap_is_ten_uniform_shares_before_mixing() -> None:
    distances = np.full(1000, 1e-6)
    distances[7] = 1
    found = distinct_weights(distances, WeightSettings())
    assert found[7] == pytest.approx(0.9 * 10 / 1000 + 0.1 / 1000)
    np.testing.assert_allclose(np.delete(found, 7), (1 - found[7]) / 999)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80))
def test_duplicates_share_the_weight_of_their_text(numbers: list[int]) -> None:
    _, groups = np.unique(numbers, return_inverse=True)
    n = groups.max() + 1
    distinct = np.random.default_rng(n).dirichlet(np.ones(n))
    rows = row_weights(distinct, groups)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.bincount(groups, rows), distinct, rtol=1e-5)
    for group in range(n):
        assert len(set(rows[groups == group].tolist())) == 1


def test_the_effective_sample_size_is_between_one_and_all() -> None:
    assert effective_sample_size(np.full(64, 1 / 64, np.float32)) == pytest.approx(64)
    assert effective_sample_size(np.array([1, 0, 0], np.float32)) == 1
    assert effective_sample_size(np.array([0.5, 0.25, 0.25], np.float32)) == pytest.approx(1 / 0.375)


def test_the_mean_distance_is_never_negative_and_zero_without_others() -> None:
    cosines = np.array([[1 + 1e-16, 1.0], [0.5, -0.5]])
    np.testing.assert_array_equal(mean_distance(cosines), [0, 1])
    np.testing.assert_array_equal(mean_distance(np.zeros((3, 0))), 0)


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"cap": 0.5}, {"mix": 1.5}, {"favor": "loud"}])
def test_settings_that_make_no_distribution_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WeightSettings.model_validate(wrong)
