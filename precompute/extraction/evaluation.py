"""How well a direction sets two sides apart on examples that it was not found on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

LEVEL = 0.95
"""Of intervals."""


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Baseline:
    """AUC of random directions, each with the sign that suits it."""

    mean: float
    high: float
    """Its 95 % quantile."""


def auc(scores: Float[np.ndarray, " n"], is_positive: Bool[np.ndarray, " n"]) -> float:
    """The chance that a positive example scores above a negative one; equal scores count half."""
    return float(_above(scores, is_positive).mean())


def effect_size(scores: Float[np.ndarray, " n"], is_positive: Bool[np.ndarray, " n"]) -> float | None:
    """Cohen's d: the difference of the means in pooled standard deviations; None where nothing varies."""
    sides = [scores[is_positive].astype(np.float64), scores[~is_positive].astype(np.float64)]
    freedom = len(scores) - 2
    pooled = sum(((side - side.mean()) ** 2).sum() for side in sides)
    if freedom <= 0 or pooled <= 0:
        return None
    return float((sides[0].mean() - sides[1].mean()) / np.sqrt(pooled / freedom))


def bootstrap_auc(
    scores: Float[np.ndarray, " n"],
    is_positive: Bool[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"],
    n_bootstrap: int,
    seed: int,
) -> Interval | None:
    """A percentile interval of the AUC. Whole groups are drawn, since answers to one question go together;
    None where a side has a single group, which says nothing of how groups differ."""
    distinct, members = np.unique(groups, return_inverse=True)
    if len(distinct) < 2:
        return None
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), n_bootstrap)
    weights = counts[:, members].astype(np.float64)
    positive, negative = weights[:, is_positive], weights[:, ~is_positive]
    total = positive.sum(axis=1) * negative.sum(axis=1)
    won = ((positive @ _above(scores, is_positive)) * negative).sum(axis=1)
    found = won[total > 0] / total[total > 0]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def random_baseline(
    x: Float[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"], n_random: int, seed: int
) -> Baseline:
    """What directions drawn at random reach on the same examples."""
    directions = np.random.default_rng(seed).normal(size=(n_random, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = np.array([auc(scores, is_positive) for scores in (x.astype(np.float64) @ directions.T).T])
    folded = np.maximum(found, 1 - found)
    return Baseline(float(folded.mean()), float(np.quantile(folded, LEVEL)))


def _above(scores: Float[np.ndarray, " n"], is_positive: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "p q"]:
    """1 where a positive example scores above a negative one, a half where they are equal."""
    positive, negative = scores[is_positive][:, None], scores[~is_positive][None, :]
    above: np.ndarray = (positive > negative) + 0.5 * (positive == negative)
    return above
