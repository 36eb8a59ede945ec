"""The bootstrap: against SciPy's on the same draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import bootstrap

from precompute.sweeps import bootstrap as module
from precompute.sweeps.bootstrap import Array, draw_counts, intervals_of, resample
from precompute.sweeps.scores import scores_of
from precompute.sweeps.subsets import weights_by_subset
from precompute.sweeps.sums import TextSums

STATISTICS: dict[str, Callable[[TextSums], Array]] = {
    "mse": lambda sums: scores_of(sums).mse,
    "variance_recovery": lambda sums: scores_of(sums).variance_recovery,
    "r_squared": lambda sums: scores_of(sums).r_squared,
}


def made_sums(seed: int = 3) -> TextSums:
    generator = np.random.default_rng(seed)
    text = np.repeat(np.arange(30), generator.integers(1, 5, 30))
    x = generator.normal(size=(len(text), 3)) + generator.normal(size=(30, 3))[text]
    x_hat = x[:, None] + generator.gamma(1.0, 0.7, (len(text), 6, 3))
    return TextSums.of_rows(
        text, x, x_hat, weights_by_subset(np.square(x[:, None] - x_hat).sum(-1), [1, 3, 6])
    )


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_intervals_are_scipys(name: str, method: str) -> None:
    sums, statistic = made_sums(), STATISTICS[name]
    (draws,) = resample(sums, [statistic], 500, seed=7)
    found = intervals_of(draws, statistic(sums.total())[0], statistic(sums.without_each()))
    ends = (
        (found.bca_low, found.bca_high) if method == "BCa" else (found.percentile_low, found.percentile_high)
    )
    for k in range(3):

        def of_texts(chosen: np.ndarray, k: int = k) -> float:
            return float(statistic(sums.weighted(np.bincount(chosen, minlength=30)[None]))[0, k])

        expected = bootstrap(
            (np.arange(30),),
            of_texts,
            vectorized=False,
            n_resamples=500,
            method=method,
            rng=np.random.default_rng(7),
        ).confidence_interval
        np.testing.assert_allclose([ends[0][k], ends[1][k]], list(expected), rtol=1e-9)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(draw_counts(7, 50, seed=1)))
    monkeypatch.setattr(module, "CHUNK", 20)
    assert (np.concatenate(list(draw_counts(7, 50, seed=1))) == whole).all()
    assert (whole.sum(1) == 7).all()


def test_what_does_not_vary_has_no_interval() -> None:
    draws = np.full((100, 1), 0.5)
    found = intervals_of(draws, np.array([0.5]), np.full((4, 1), 0.5))
    assert np.isnan(found.bca_low[0])
    assert found.percentile_low[0] == 0.5
