"""Scores of best of K: against the formulas on plain rows, and against a noise whose best is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.sweeps.bootstrap import intervals_of, resample
from precompute.sweeps.scores import scores_of
from precompute.sweeps.subsets import weights_by_subset, weights_of_first
from precompute.sweeps.sums import TextSums, joined


def noisy(n_rows: int, n_samples: int, d_in: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts of one to three rows, activations, reconstructions."""
    generator = np.random.default_rng(seed)
    text = np.sort(generator.integers(0, max(1, n_rows // 2), n_rows))
    text = np.unique(text, return_inverse=True)[1]
    x = generator.normal(1.0, 2.0, (n_rows, d_in))
    x_hat = x[:, None] + generator.normal(0.3, 1.0, (n_rows, n_samples, d_in))
    return text, x, x_hat


@given(st.integers(2, 30), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_scores_are_those_of_the_chosen_rows(n_rows: int, n_samples: int, d_in: int, seed: int) -> None:
    text, x, x_hat = noisy(n_rows, n_samples, d_in, seed)
    errors = np.square(x[:, None] - x_hat).sum(-1)
    k_values = list(range(1, n_samples + 1))
    found = scores_of(TextSums.of_rows(text, x, x_hat, weights_of_first(errors, k_values)).total())
    for index, k in enumerate(k_values):
        chosen = x_hat[np.arange(n_rows), errors[:, :k].argmin(1)]
        residual = x - chosen
        total = np.square(x - x.mean(0)).sum()
        assert found.mse[0, index] == pytest.approx(np.square(residual).mean(), rel=1e-9)
        assert found.r_squared[0, index] == pytest.approx(
            1 - np.square(residual).sum() / total, rel=1e-7, abs=1e-7
        )
        recovery = 1 - residual.var(0).sum() / x.var(0).sum()
        assert found.variance_recovery[0, index] == pytest.approx(recovery, rel=1e-7, abs=1e-7)


def test_a_constant_added_to_one_component_inflates_no_score() -> None:
    text, x, x_hat = noisy(200, 4, 3, 0)
    errors = np.square(x[:, None] - x_hat).sum(-1)
    weights = weights_by_subset(errors, [1, 4])
    plain = scores_of(TextSums.of_rows(text, x, x_hat, weights).total())
    shift = np.array([1000.0, 0.0, 0.0])
    moved = scores_of(TextSums.of_rows(text, x + shift, x_hat + shift, weights).total())
    np.testing.assert_allclose(moved.r_squared, plain.r_squared, rtol=1e-6)
    np.testing.assert_allclose(moved.variance_recovery, plain.variance_recovery, rtol=1e-6)
    biased = scores_of(TextSums.of_rows(text, x, x_hat + shift, weights).total())
    assert (biased.r_squared < 0).all()
    np.testing.assert_allclose(biased.variance_recovery, plain.variance_recovery, rtol=1e-6)


def test_activations_that_do_not_vary_have_no_recovery() -> None:
    x = np.ones((3, 2))
    sums = TextSums.of_rows(np.arange(3), x, x[:, None] + 0.5, np.ones((3, 1, 1)))
    found = scores_of(sums.total())
    assert np.isnan(found.variance_recovery).all()
    assert np.isnan(found.r_squared).all()
    assert found.mse[0, 0] == pytest.approx(0.25)


def test_texts_may_come_in_lots() -> None:
    text, x, x_hat = noisy(40, 3, 2, 1)
    weights = weights_by_subset(np.square(x[:, None] - x_hat).sum(-1), [1, 2, 3])
    whole = TextSums.of_rows(text, x, x_hat, weights)
    cut = int(np.searchsorted(text, text[20]))
    lots = [
        TextSums.of_rows(text[part], x[part], x_hat[part], weights[part])
        for part in (slice(cut), slice(cut, None))
    ]
    np.testing.assert_array_equal(joined(lots).residual, whole.residual)
    np.testing.assert_allclose(whole.without_each().x[0], x[text != 0].sum(0), rtol=1e-12)


def test_known_noise_is_recovered_and_covered() -> None:
    """Errors uniform in (0, 1): the best of K has mean 1 / (K + 1); x has unit variance and one component."""
    k_values, n_rows, n_samples, covered = [1, 2, 4, 8], 400, 16, np.zeros(4)
    truth = np.array([1 / (k + 1) for k in k_values])
    for seed in range(60):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(n_rows, 1))
        signs = generator.choice([-1.0, 1.0], (n_rows, n_samples))
        x_hat = x[:, None] + (signs * np.sqrt(generator.random((n_rows, n_samples))))[..., None]
        errors = np.square(x[:, None] - x_hat).sum(-1)
        sums = TextSums.of_rows(np.arange(n_rows), x, x_hat, weights_by_subset(errors, k_values))
        estimate = scores_of(sums.total()).mse[0]
        (draws,) = resample(sums, [lambda drawn: scores_of(drawn).mse], 400, seed)
        found = intervals_of(draws, estimate, scores_of(sums.without_each()).mse)
        covered += (found.bca_low <= truth) & (truth <= found.bca_high)
        np.testing.assert_allclose(estimate, truth, atol=0.08)
    assert (covered >= 50).all(), covered
