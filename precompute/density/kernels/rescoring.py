"""Candidates ranked by their cosine in float64, so that a result depends on the vectors alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from precompute.geometry.kernels.nearest import cosine


@njit(cache=True, nogil=True)
def rank_candidates(
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    inverse_norm: NDArray[np.float64],
    own: NDArray[np.int64],
    candidates: NDArray[np.int64],
    index: NDArray[np.int64],
    value: NDArray[np.float64],
) -> None:
    """Fill `index` and `value` [n_queries, k] from `candidates` [n_queries, c]: largest first, ties by index.

    Text i has the vector vectors[rows[i]] and the entry inverse_norm[i]; `own` [n_queries] are the texts
    that ask. -1 is no candidate, and neither is a text itself; what is not filled stays as it is.
    """
    k = index.shape[1]
    for query in range(len(own)):
        text, n_kept = own[query], 0
        for c in range(candidates.shape[1]):
            other = candidates[query, c]
            if other < 0 or other == text:
                continue
            scale = inverse_norm[text] * inverse_norm[other]
            score = cosine(vectors[rows[text]], vectors[rows[other]], scale)
            place = n_kept
            while place > 0 and comes_first(score, other, value[query, place - 1], index[query, place - 1]):
                place -= 1
            if place == k:
                continue
            n_kept = min(k, n_kept + 1)
            for j in range(n_kept - 1, place, -1):
                value[query, j], index[query, j] = value[query, j - 1], index[query, j - 1]
            value[query, place], index[query, place] = score, other


@njit(cache=True, nogil=True)
def comes_first(score: float, other: int, held: float, held_index: int) -> Any:
    """Whether a neighbour ranks before one that is held."""
    return score > held or (score == held and other < held_index)
