"""Ways to find the direction that sets two sides apart; each gives a vector of length 1, positive side up."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from precompute.extraction.settings import MethodName

STRENGTHS = tuple(10.0**n for n in range(-4, 3))
"""Inverse strengths of the probe's penalty that are tried."""
FOLDS = 5
COMPONENTS = 16
"""Independent components at most."""
SWEEPS = 1000
"""Passes of an optimiser at most."""


@dataclass(frozen=True)
class Direction:
    """A direction, and how it came to be."""

    vector: Float64[np.ndarray, " d"]
    """Of length 1; the positive side lies higher along it."""
    details: dict[str, Any] = field(default_factory=dict)


Method = Callable[[Float64[np.ndarray, "n d"], Bool[np.ndarray, " n"], int], Direction]


def mean_diff(x: Float64[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"], _seed: int) -> Direction:
    """Mean of the positive side less mean of the negative one."""
    return _upright(_difference(x, is_positive), x, is_positive)


def probe(x: Float64[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"], seed: int) -> Direction:
    """Logistic regression on standardised activations; the strongest penalty within one standard error of
    the best cross-validated accuracy (the one-standard-error rule)."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(axis=0), _scales(x)
    standard = (x - mean) / scale
    accuracies = _accuracies(standard, is_positive, seed)
    means, errors = accuracies.mean(axis=1), accuracies.std(axis=1) / np.sqrt(accuracies.shape[1])
    best = int(means.argmax())
    chosen = STRENGTHS[int(np.flatnonzero(means >= means[best] - errors[best])[0])]
    fitted = LogisticRegression(C=chosen, max_iter=SWEEPS).fit(standard, is_positive)
    details = {"C": chosen, "cross_validated_accuracy": float(means[STRENGTHS.index(chosen)])}
    return _upright(fitted.coef_[0] / scale, x, is_positive, details)


def _accuracies(x: Float64[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"], seed: int) -> np.ndarray:
    """[n_strengths, n_folds]; one fold of all where a side has too few examples."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    n_folds = min(FOLDS, int(is_positive.sum()), int((~is_positive).sum()))
    if n_folds < 2:
        return np.ones((len(STRENGTHS), 1))
    folds = list(StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(x, is_positive))
    return np.array(
        [
            [
                LogisticRegression(C=strength, max_iter=SWEEPS)
                .fit(x[fit], is_positive[fit])
                .score(x[held], is_positive[held])
                for fit, held in folds
            ]
            for strength in STRENGTHS
        ]
    )


def gradient(x: Float64[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"], _seed: int) -> Direction:
    """The direction w that maximises log (w·δ)² / (w·Σ·w) by gradient ascent, from the mean difference δ.

    Σ is the covariance within the sides, shrunk as Ledoit and Wolf (2004) derive, without which the optimum
    is arbitrary for fewer examples than dimensions.
    """
    from scipy.optimize import minimize
    from sklearn.covariance import ledoit_wolf

    delta = _difference(x, is_positive)
    within = np.where(is_positive[:, None], x - x[is_positive].mean(axis=0), x - x[~is_positive].mean(axis=0))
    # In units in which every dimension varies alike the ascent takes few steps.
    scale = _scales(within)
    covariance, shrinkage = ledoit_wolf(within / scale, assume_centered=True)
    target = delta / scale

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        along, spread = w @ target, covariance @ w
        return float(np.log(w @ spread) - np.log(along**2)), 2 * spread / (w @ spread) - 2 * target / along

    start = target / max(float(np.linalg.norm(target)), np.finfo(np.float64).tiny)
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": SWEEPS, "maxfun": 4 * SWEEPS}
    )
    details = {"shrinkage": float(shrinkage), "n_steps": int(found.nit), "converged": bool(found.success)}
    return _upright(found.x / scale, x, is_positive, details)


def ica(x: Float64[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"], seed: int) -> Direction:
    """The independent component of both sides together whose source sets them apart most: what one unit of
    that source adds to the activations."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    rank = int(np.linalg.matrix_rank(x - x.mean(axis=0)))
    model = FastICA(min(COMPONENTS, rank), whiten="unit-variance", random_state=seed, max_iter=SWEEPS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        sources = model.fit_transform(x)
    separation = sources[is_positive].mean(axis=0) - sources[~is_positive].mean(axis=0)
    chosen = int(np.abs(separation).argmax())
    stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    details = {"component": chosen, "n_components": sources.shape[1], "converged": not stopped}
    return _upright(model.mixing_[:, chosen], x, is_positive, details)


def _difference(
    x: Float64[np.ndarray, "n d"], is_positive: Bool[np.ndarray, " n"]
) -> Float64[np.ndarray, " d"]:
    difference: np.ndarray = x[is_positive].mean(axis=0) - x[~is_positive].mean(axis=0)
    return difference


def _scales(x: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, " d"]:
    """Standard deviations; 1 for what never varies."""
    scale = x.std(axis=0)
    return np.where(scale > 0, scale, 1.0)


def _upright(
    vector: Float64[np.ndarray, " d"],
    x: Float64[np.ndarray, "n d"],
    is_positive: Bool[np.ndarray, " n"],
    details: dict[str, Any] | None = None,
) -> Direction:
    """With length 1 and the sign of the class means; a zero vector, of sides that do not differ, stays."""
    norm = float(np.linalg.norm(vector))
    unit = vector / norm if norm > 0 else vector
    sign = -1.0 if float(_difference(x, is_positive) @ unit) < 0 else 1.0
    return Direction(sign * unit, details or {})


METHOD_FUNCTIONS: Mapping[MethodName, Method] = MappingProxyType(
    {"mean_diff": mean_diff, "probe": probe, "gradient": gradient, "ica": ica}
)
"""By the names that `--methods` takes."""
