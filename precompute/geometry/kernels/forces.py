"""The forces of a 2-D map: neighbours attract, random pairs repel; one thread, so one result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STEPS = 64
"""Bisections in the search for a bandwidth (as in McInnes, Healy and Melville 2018)."""


@njit(cache=True, nogil=True)
def bandwidths(distance: Floats, nearest: Floats, target: float) -> Floats:
    """For each row the sigma with sum_j exp(-max(0, d_j - nearest) / sigma) = target; bisection."""
    n, k = distance.shape
    sigma = np.empty(n)
    for i in range(n):
        low, high, middle = 0.0, np.inf, 1.0
        for _ in range(STEPS):
            total = 0.0
            for j in range(k):
                total += np.exp(-max(0.0, distance[i, j] - nearest[i]) / middle)
            if abs(total - target) < 1e-5:
                break
            if total > target:
                high = middle
                middle = (low + high) / 2
            else:
                low = middle
                middle = middle * 2 if high == np.inf else (low + high) / 2
        sigma[i] = middle
    return sigma


@njit(cache=True, nogil=True, inline="always")
def clipped(value: float) -> Any:
    """A gradient kept between -4 and 4, so that no step throws a point far away."""
    return min(4.0, max(-4.0, value))


@njit(cache=True, nogil=True, inline="always")
def next_random(state: NDArray[np.uint64]) -> Any:
    """Step an xorshift64 generator (Marsaglia 2003)."""
    value = state[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    state[0] = value
    return value


@njit(cache=True, nogil=True)
def one_epoch(
    points: Floats,
    head: Ints,
    tail: Ints,
    period: Floats,
    due: Floats,
    epoch: int,
    step: float,
    n_negative: int,
    a: float,
    b: float,
    state: NDArray[np.uint64],
) -> None:
    """Move the points [n, 2] along every edge that is due in this epoch, and away from random points.

    An edge is due every `period` epochs. The attraction along it and the repulsion of its head from
    `n_negative` random points are the gradients of UMAP's cross entropy with 1 / (1 + a d^(2b)) as the
    membership of a pair at distance d (McInnes, Healy and Melville 2018, section 3.2).
    """
    n = np.uint64(len(points))
    for e in range(len(head)):
        if due[e] > epoch:
            continue
        due[e] += period[e]
        i, j = head[e], tail[e]
        x, y = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1]
        square = x * x + y * y
        if square > 0:
            power = square**b
            pull = -2.0 * a * b * power / (square * (1.0 + a * power))
            dx, dy = clipped(pull * x) * step, clipped(pull * y) * step
            points[i, 0] += dx
            points[i, 1] += dy
            points[j, 0] -= dx
            points[j, 1] -= dy
        for _ in range(n_negative):
            j = np.int64(next_random(state) % n)
            x, y = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1]
            square = x * x + y * y
            if square > 0:
                push = 2.0 * b / ((0.001 + square) * (1.0 + a * square**b))
                points[i, 0] += clipped(push * x) * step
                points[i, 1] += clipped(push * y) * step
