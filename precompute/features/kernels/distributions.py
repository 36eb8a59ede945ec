"""Moments and histogram of each row of a matrix, in float64."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def row_moments(matrix: NDArray[np.float32], moments: Doubles) -> None:
    """Fill moments [n, 4] with mean, standard deviation (ddof 0), skewness and excess kurtosis of each row.

    Skewness and kurtosis of a constant row are NaN: they are not defined.
    """
    n, width = matrix.shape
    for row in range(n):
        mean = 0.0
        for column in range(width):
            mean += matrix[row, column]
        mean /= width
        second, third, fourth = 0.0, 0.0, 0.0
        for column in range(width):
            distance = matrix[row, column] - mean
            square = distance * distance
            second += square
            third += square * distance
            fourth += square * square
        second, third, fourth = second / width, third / width, fourth / width
        moments[row, 0], moments[row, 1] = mean, np.sqrt(second)
        moments[row, 2] = third / second**1.5 if second > 0 else np.nan
        moments[row, 3] = fourth / second**2 - 3 if second > 0 else np.nan


@njit(cache=True, nogil=True)
def row_histograms(matrix: NDArray[np.float32], edges: Doubles, counts: NDArray[np.int64]) -> None:
    """Count each row into its own equal bins: edges [n, n_bins + 1] ascending, counts [n, n_bins] zero.

    A value on an edge is of the bin above it; one on the last edge, of the last bin (as numpy.histogram). A
    row whose edges are no numbers is not counted.
    """
    n, width = matrix.shape
    n_bins = counts.shape[1]
    for row in range(n):
        low, span = edges[row, 0], edges[row, n_bins] - edges[row, 0]
        if not np.isfinite(span):
            continue
        for column in range(width):
            value = np.float64(matrix[row, column])
            place = max(0, min(n_bins - 1, int((value - low) / span * n_bins)))
            if value < edges[row, place]:
                place = max(0, place - 1)
            elif place < n_bins - 1 and value >= edges[row, place + 1]:
                place += 1
            counts[row, place] += 1
