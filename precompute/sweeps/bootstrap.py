"""Bootstrap intervals over texts: rows of one text are not independent, so texts are drawn, not rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from precompute.sweeps.sums import TextSums

Array = npt.NDArray[np.float64]
Statistic = Callable[[TextSums], Array]
"""A score of each entry: [n, n_k]."""

CHUNK = 1 << 22
"""Drawn texts that are held at once."""


@dataclass(frozen=True)
class Intervals:
    """Two-sided intervals, one for each K: float64 [n_k] each; nan where the draws do not vary."""

    percentile_low: Array
    percentile_high: Array
    bca_low: Array
    """Bias-corrected and accelerated (Efron 1987)."""
    bca_high: Array


def draw_counts(n_texts: int, n_resamples: int, seed: int) -> Iterator[Array]:
    """How often each text stands in each resample: float64 [some, n_texts], `n_resamples` rows in all.

    The chunks' size does not change what is drawn.
    """
    generator = np.random.default_rng(seed)
    per_chunk = max(1, CHUNK // n_texts)
    for first in range(0, n_resamples, per_chunk):
        n_here = min(per_chunk, n_resamples - first)
        drawn = generator.integers(0, n_texts, (n_here, n_texts))
        flat = (drawn + np.arange(n_here)[:, None] * n_texts).ravel()
        yield np.bincount(flat, minlength=n_here * n_texts).reshape(n_here, n_texts).astype(np.float64)


def resample(sums: TextSums, statistics: list[Statistic], n_resamples: int, seed: int) -> list[Array]:
    """Each statistic on every resample: float64 [n_resamples, n_k] each."""
    parts: list[list[Array]] = [[] for _ in statistics]
    for counts in draw_counts(len(sums), n_resamples, seed):
        drawn = sums.weighted(counts)
        for found, statistic in zip(parts, statistics, strict=True):
            found.append(statistic(drawn))
    return [np.concatenate(found) for found in parts]


def intervals_of(draws: Array, estimate: Array, jackknife: Array, confidence: float = 0.95) -> Intervals:
    """Intervals from the draws [n_resamples, n_k] of a statistic.

    `estimate` [n_k]: its value on all texts; `jackknife` [n_texts, n_k]: its value without each.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    bca = np.array([_bca(*each, tail) for each in zip(draws.T, estimate, jackknife.T, strict=True)])
    return Intervals(low, high, bca[:, 0], bca[:, 1])


def _bca(draws: Array, estimate: float, jackknife: Array, tail: float) -> Array:
    """The two ends of one BCa interval (Efron 1987; Efron and Tibshirani 1993, section 14.3)."""
    if not np.isfinite(draws).all() or np.ptp(draws) == 0:
        return np.full(2, np.nan)
    below = ((draws < estimate).mean() + (draws <= estimate).mean()) / 2
    deviations = jackknife.mean() - jackknife
    spread = np.square(deviations).sum() ** 1.5
    if not 0 < below < 1 or not spread > 0:
        return np.full(2, np.nan)
    acceleration = (deviations**3).sum() / (6 * spread)
    shifted = ndtri(below) + ndtri(np.array([tail, 1 - tail]))
    levels = ndtr(ndtri(below) + shifted / (1 - acceleration * shifted))
    ends: Array = np.quantile(draws, levels)
    return ends
