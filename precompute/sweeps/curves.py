"""The curves of a sweep: every score at every K, with its intervals, as records of JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.sweeps.bootstrap import Intervals, Statistic, intervals_of, resample
from precompute.sweeps.scores import Scores, scores_of
from precompute.sweeps.sums import TextSums

Array = npt.NDArray[np.float64]


def _score(name: str) -> Statistic:
    def score(sums: TextSums) -> Array:
        found: Array = getattr(scores_of(sums), name)
        return found

    return score


SCORES: Mapping[str, Statistic] = MappingProxyType(
    {name: _score(name) for name in Scores.__dataclass_fields__}
)
"""mse, variance_recovery, r_squared."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are computed."""

    n_resamples: int
    seed: int
    confidence: float = 0.95


def curve(sums: TextSums, resampling: Resampling | None) -> list[dict[str, Any]]:
    """For each K, each score with its estimate and its intervals; null where there are none."""
    total = sums.total()
    estimates = {name: statistic(total)[0] for name, statistic in SCORES.items()}
    found = _intervals(sums, estimates, resampling)
    n_k = sums.residual.shape[1]
    return [{name: _record(estimates[name][k], found.get(name), k) for name in SCORES} for k in range(n_k)]


def _intervals(
    sums: TextSums, estimates: Mapping[str, Array], resampling: Resampling | None
) -> dict[str, Intervals]:
    """One text alone cannot be resampled: it has no intervals."""
    if resampling is None or len(sums) < 2:
        return {}
    draws = resample(sums, list(SCORES.values()), resampling.n_resamples, resampling.seed)
    without = sums.without_each()
    return {
        name: intervals_of(drawn, estimates[name], statistic(without), resampling.confidence)
        for (name, statistic), drawn in zip(SCORES.items(), draws, strict=True)
    }


def _record(estimate: float, intervals: Intervals | None, k: int) -> dict[str, Any]:
    ends: dict[str, list[float | None] | None] = {"percentile": None, "bca": None}
    if intervals is not None:
        ends = {
            kind: _pair(getattr(intervals, f"{kind}_low")[k], getattr(intervals, f"{kind}_high")[k])
            for kind in ends
        }
    return {"estimate": number(estimate), **ends}


def _pair(low: float, high: float) -> list[float | None] | None:
    return [number(low), number(high)] if math.isfinite(low) and math.isfinite(high) else None


def number(value: float) -> float | None:
    """A number of JSON; null for what could not be computed."""
    return float(value) if math.isfinite(value) else None
