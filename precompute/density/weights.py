"""From distances to sampling weights: pure functions of arrays, in float64."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64
from pydantic import BaseModel, ConfigDict, Field

Favor = Literal["rare", "dense"]
FAR_BELOW = 1e4
"""How far, in logarithms, a distance of zero lies below the least positive one: the limit of vanishing."""


class WeightSettings(BaseModel):
    """How distances become weights; each of these changes the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Exponent of the distance, without its sign."""
    favor: Favor = "rare"
    """The sign of the exponent: rare gives sparse regions more, dense gives them less."""
    cap: float = Field(10.0, ge=1, allow_inf_nan=False)
    """The most that one distinct text may weigh before mixing, in multiples of its uniform share."""
    mix: float = Field(0.1, ge=0, le=1)
    """Share of the uniform distribution that is mixed in."""

    @property
    def exponent(self) -> float:
        """The exponent of the distance, with its sign."""
        return self.alpha if self.favor == "rare" else -self.alpha


def mean_distance(cosines: Float64[np.ndarray, "n_distinct k"]) -> Float64[np.ndarray, " n_distinct"]:
    """Mean cosine distance to the nearest others; 0 for a text that has none."""
    if cosines.shape[1] == 0:
        return np.zeros(len(cosines))
    distances: np.ndarray = np.maximum(1 - cosines, 0).mean(axis=1)
    return distances


def distinct_weights(
    distances: Float64[np.ndarray, " n_distinct"], chosen: WeightSettings
) -> Float64[np.ndarray, " n_distinct"]:
    """Weights of distinct texts, in proportion to distance ** exponent, capped and mixed; they sum to 1.

    Equal distances give equal weights, whatever they are. A distance of zero counts as the limit of a
    vanishing one: nothing under a positive exponent, all (up to the cap) under a negative one, and zeros
    share alike what the cap leaves to them.
    """
    n = len(distances)
    if n == 0:
        return np.zeros(0)
    capped = water_fill(chosen.exponent * _logarithms(distances), chosen.cap / n)
    return (1 - chosen.mix) * capped + chosen.mix / n


def _logarithms(distances: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    positive = distances > 0
    if not positive.any():
        return np.zeros(len(distances))
    least = np.log(distances[positive].min())
    logs = np.full(len(distances), least - FAR_BELOW)
    logs[positive] = np.log(distances[positive])
    return logs


def water_fill(logs: Float64[np.ndarray, " n"], cap: float) -> Float64[np.ndarray, " n"]:
    """Shares of 1 in proportion to exp(logs), none above `cap`: what the cap cuts off, the others share.

    With the m largest at the cap, the rest divide 1 - m * cap in proportion; m is the least for which none
    of the rest exceeds the cap. Needs cap >= 1/n. Worked out in logarithms, so nothing overflows.
    """
    n = len(logs)
    order = np.argsort(-logs, kind="stable")
    falling = logs[order]
    # log of the sum over the m-th largest and all smaller ones
    tails = np.logaddexp.accumulate(falling[::-1])[::-1]
    left = np.maximum(1 - np.arange(n) * cap, 0)
    with np.errstate(divide="ignore"):
        fits = falling - tails + np.log(left) <= np.log(cap) + 1e-12
    m = int(np.argmax(fits))
    shares = np.empty(n)
    shares[order[:m]] = cap
    shares[order[m:]] = left[m] * np.exp(falling[m:] - tails[m])
    return shares


def row_weights(
    distinct: Float64[np.ndarray, " n_distinct"], groups: Int64[np.ndarray, " n_rows"]
) -> Float32[np.ndarray, " n_rows"]:
    """Each row's part of its distinct text's weight, which duplicates share alike; they sum to 1."""
    counts = np.bincount(groups, minlength=len(distinct))
    weights: np.ndarray = (distinct / np.maximum(counts, 1))[groups].astype(np.float32)
    return weights


def effective_sample_size(weights: Float32[np.ndarray, " n_rows"]) -> float:
    """Kish's (Σw)² / Σw²: how many equally weighted rows would vary as little."""
    wide = weights.astype(np.float64)
    return float(wide.sum() ** 2 / (wide**2).sum()) if len(wide) else 0.0
