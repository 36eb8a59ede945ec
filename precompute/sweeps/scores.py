"""Scores of best of K: mean squared error, variance recovery, R²."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from precompute.sweeps.sums import TextSums

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One entry for each lot of rows and each K: float64 [n, n_k]; nan where the activations do not vary."""

    mse: Array
    """Mean squared error of a component."""
    variance_recovery: Array
    """1 - Σ var(residual) / Σ var(activation), over components: a constant error costs nothing."""
    r_squared: Array
    """1 - Σ‖residual‖² / Σ‖activation - mean vector‖²: the recovery that counts the constant error."""


def scores_of(sums: TextSums) -> Scores:
    """Scores of each entry; the mean activation and the mean residual are those of the entry's own rows.

    With oracle selection, since the best of K is the one closest to the activation itself.
    """
    n_rows = sums.n_rows[:, None]
    variance = (sums.x_square - np.square(sums.x).sum(-1) / sums.n_rows) / sums.n_rows
    mean_square = sums.residual_square / n_rows
    bias = np.square(sums.residual / n_rows[..., None]).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(variance > 0, variance, np.nan)[:, None]
        return Scores(
            mean_square / sums.x.shape[-1], 1 - (mean_square - bias) / total, 1 - mean_square / total
        )
