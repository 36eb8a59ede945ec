"""Exact nearest neighbours from a block of approximate cosines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def sift_down(heap: NDArray[np.float32], score: Any) -> None:
    """Replace the smallest entry of a binary min-heap."""
    place, size = 0, len(heap)
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= score:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = score


@njit(cache=True, nogil=True)
def candidates(
    scores: NDArray[np.float32], skip: int, margin: Any, heap: NDArray[np.float32], found: NDArray[np.int64]
) -> int:
    """Collect in `found`, ascending, all but `skip` that score at least the k-th largest less the margin.

    k is len(heap); `heap` is scratch, `found` holds len(scores). Returns how many there are.
    """
    heap[:] = -np.inf
    bound, n_found = -np.inf, 0
    for i in range(len(scores)):
        score = scores[i]
        if score < bound or i == skip:
            continue
        found[n_found] = i
        n_found += 1
        if score > heap[0]:
            sift_down(heap, score)
            bound = heap[0] - margin
    n_kept = 0
    for j in range(n_found):
        # The bound rose while they were collected.
        if scores[found[j]] >= bound:
            found[n_kept] = found[j]
            n_kept += 1
    return n_kept


@njit(cache=True, nogil=True)
def cosine(a: NDArray[np.float32], b: NDArray[np.float32], scale: float) -> Any:
    """scale * a.b, summed in float64 in order, so that it depends on nothing but the two vectors."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total * scale


@njit(cache=True, nogil=True)
def rank_block(
    scores: NDArray[np.float32],
    vectors: NDArray[np.float32],
    inverse_norm: NDArray[np.float64],
    first: int,
    margin: float,
    index: NDArray[np.int64],
    value: NDArray[np.float64],
) -> None:
    """Fill `index` and `value` [n_rows, k] with the k nearest vectors to vectors first, first + 1, ...

    `scores` [n_rows, n] are cosines off by less than half of `margin`: whatever lies within the margin of
    the k-th is scored again in float64, and ranked by that, equal cosines by index.
    """
    k = index.shape[1]
    heap, found = np.empty(k, np.float32), np.empty(scores.shape[1], np.int64)
    for row in range(scores.shape[0]):
        own, n_kept = first + row, 0
        for c in range(candidates(scores[row], own, margin, heap, found)):
            other = found[c]
            exact = cosine(vectors[own], vectors[other], inverse_norm[own] * inverse_norm[other])
            if n_kept == k:
                if exact <= value[row, k - 1]:
                    continue
                place = k - 1
            else:
                place = n_kept
                n_kept += 1
            while place > 0 and exact > value[row, place - 1]:
                value[row, place], index[row, place] = value[row, place - 1], index[row, place - 1]
                place -= 1
            value[row, place], index[row, place] = exact, other
