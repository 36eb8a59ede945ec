"""Directions: planted ones are found again, figures agree with other ways to them, nothing leaks."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from precompute.errors import UsageError
from precompute.extraction.definition import held_out_groups
from precompute.extraction.evaluation import auc, bootstrap_auc, effect_size, random_baseline
from precompute.extraction.methods import METHOD_FUNCTIONS, gradient
from precompute.extraction.settings import METHODS, MethodName, VectorSettings
from precompute.extraction.vectors import Sides, judged, sides_of

LEAST_COSINE = {"mean_diff": 0.99, "probe": 0.9, "gradient": 0.9, "ica": 0.9}


def planted(n: int = 1_000, d: int = 128, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Isotropic noise, and on one side a direction as long as the noise; the direction, of length 1."""
    draw = np.random.default_rng(seed)
    direction = draw.normal(size=d)
    direction /= np.linalg.norm(direction)
    x, is_positive = draw.normal(size=(2 * n, d)), np.arange(2 * n) % 2 == 0
    x[is_positive] += np.sqrt(d) * direction
    return x, is_positive, direction


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_direction_is_found(method: MethodName) -> None:
    x, is_positive, direction = planted()
    found = METHOD_FUNCTIONS[method](x, is_positive, 0)
    assert np.linalg.norm(found.vector) == pytest.approx(1)
    assert found.vector @ direction > LEAST_COSINE[method]


def test_the_gradient_finds_the_optimum_that_can_be_written_down() -> None:
    draw = np.random.default_rng(1)
    mixing = draw.normal(size=(6, 6))
    x, is_positive = draw.normal(size=(300, 6)) @ mixing, np.arange(300) % 2 == 0
    x[is_positive] += 0.3
    sides = [x[is_positive], x[~is_positive]]
    within = np.concatenate([side - side.mean(axis=0) for side in sides])
    scale = within.std(axis=0)
    covariance, _ = ledoit_wolf(within / scale, assume_centered=True)
    expected = np.linalg.solve(covariance, (sides[0].mean(axis=0) - sides[1].mean(axis=0)) / scale) / scale
    found = gradient(x, is_positive, 0)
    assert found.vector @ expected / np.linalg.norm(expected) > 0.9999


def test_figures_agree_with_slow_references() -> None:
    draw = np.random.default_rng(2)
    scores, side = draw.normal(size=60).round(1), draw.random(60) < 0.4
    scores[side] += 0.5
    assert auc(scores, side) == pytest.approx(roc_auc_score(side, scores))
    a, b = scores[side], scores[~side]
    pooled = ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(scores) - 2)
    assert effect_size(scores, side) == pytest.approx((a.mean() - b.mean()) / pooled**0.5)
    assert effect_size(np.zeros(4), np.array([True, True, False, False])) is None
    groups = np.arange(60) // 6
    members = [np.flatnonzero(groups == group) for group in range(10)]
    found = []
    for _ in range(2_000):
        rows = np.concatenate([members[group] for group in draw.integers(0, 10, 10)])
        found.append(auc(scores[rows], side[rows]))
    interval = bootstrap_auc(scores, side, groups, 20_000, 0)
    assert interval is not None
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(found, [0.025, 0.975]), atol=0.02)
    assert bootstrap_auc(scores, side, np.zeros(60, int), 10, 0) is None


def test_random_directions_tell_what_chance_reaches() -> None:
    x, is_positive, _ = planted(n=200, d=64)
    nothing = np.random.default_rng(3).normal(size=x.shape)
    chance = random_baseline(nothing, is_positive, 400, 0)
    assert 0.5 < chance.mean < 0.55
    assert chance.mean < chance.high < 0.6
    assert random_baseline(x, is_positive, 400, 0).mean > 0.6


@pytest.mark.parametrize("method", METHODS)
def test_what_is_held_out_enters_no_fit(method: MethodName) -> None:
    x, is_positive, _ = planted(n=60, d=8)
    groups = np.arange(120) // 10
    held = held_out_groups(groups, 0.3, 0)
    assert 0 < len(np.unique(groups[held])) == round(0.3 * 12)
    sides, chosen = Sides(x, is_positive, groups, held), VectorSettings(n_bootstrap=20, n_random=5)
    first = judged(sides, method, chosen)
    other = x.copy()
    other[held] = np.random.default_rng(4).normal(size=other[held].shape) * 50
    second = judged(dataclasses.replace(sides, x=other), method, chosen)
    np.testing.assert_array_equal(first.vector, second.vector)
    assert first.record["auc"] != second.record["auc"]
    assert first.record["separation"] == second.record["separation"]


def table(n: int, kept: list[bool] | None = None, n_questions: int = 8) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "example": range(n),
            "polarity": ["pos", "neg"] * (n // 2),
            "question": [(i // 2) % n_questions for i in range(n)],
            "kept": kept or [True] * n,
            "score": pl.Series([None] * n, dtype=pl.Float64),
        }
    )


def test_only_what_counts_is_used_and_an_empty_side_is_named() -> None:
    x = np.random.default_rng(0).normal(size=(32, 4))
    x[5] = np.nan
    rows, sides = sides_of(table(32, [i != 3 for i in range(32)]), x, VectorSettings())
    assert rows.tolist() == [i for i in range(32) if i not in (3, 5)]
    assert len(np.unique(sides.groups)) == 8
    for group in np.unique(sides.groups):
        assert len(np.unique(sides.is_held_out[sides.groups == group])) == 1
    few = sides_of(table(32, n_questions=1), np.ones((32, 4)), VectorSettings())[1]
    assert few.groups.tolist() == [i // 2 for i in range(32)]
    with pytest.raises(UsageError, match="0 positive responses that count, of 32"):
        sides_of(table(32, [i % 2 == 1 for i in range(32)]), x, VectorSettings())
