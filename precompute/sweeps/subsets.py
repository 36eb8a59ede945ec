"""Best of K, estimated from a pool of n samples: over all its subsets, or over the first K alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from precompute.errors import UsageError

Weights = npt.NDArray[np.float64]


def subset_weights(n_samples: int, k: int) -> Weights:
    """Share of the size-`k` subsets whose best member is the i-th best of the pool: float64 [n_samples].

    The i-th best (from 1) has weight C(n - i, k - 1) / C(n, k), so that the weighted sum of any quantity of
    the chosen sample is unbiased for its expectation under best of k: the estimator of pass@k (Chen et al.
    2021, section 2.1) for values in place of successes. Raises UsageError unless 1 <= k <= n_samples.
    """
    if not 1 <= k <= n_samples:
        raise UsageError(
            f"K = {k} from a pool of {n_samples} samples",
            f"1 <= K <= {n_samples}",
            "raise `n_samples` or lower `k_values`",
        )
    rank = np.arange(n_samples - 1, dtype=np.float64)
    steps = np.maximum(n_samples - k - rank, 0.0) / (n_samples - 1 - rank)
    return k / n_samples * np.concatenate([[1.0], np.cumprod(steps)])


def weights_by_subset(errors: npt.NDArray[np.floating], k_values: list[int]) -> Weights:
    """Weight of each sample under best of K, over all subsets of its row's pool.

    `errors` [n_rows, n_samples]: squared errors, by which the best is chosen; the earlier sample wins a tie.
    Returns float64 [n_rows, n_k, n_samples]; a row's weights for one K add up to 1.
    """
    n_samples = errors.shape[1]
    rank = np.argsort(np.argsort(errors, axis=1, kind="stable"), axis=1, kind="stable")
    by_rank = np.stack([subset_weights(n_samples, k) for k in k_values])
    return np.moveaxis(by_rank[:, rank], 0, 1)


def weights_of_first(errors: npt.NDArray[np.floating], k_values: list[int]) -> Weights:
    """Weight 1 for the best of the first K samples, 0 for the others: float64 [n_rows, n_k, n_samples].

    The nested curve: each K's samples are among those of the larger ones.
    """
    weights = np.zeros((len(errors), len(k_values), errors.shape[1]))
    for index, k in enumerate(k_values):
        subset_weights(errors.shape[1], k)
        weights[np.arange(len(errors)), index, errors[:, :k].argmin(axis=1)] = 1.0
    return weights
