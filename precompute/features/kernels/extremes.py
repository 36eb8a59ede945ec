"""The largest values of a matrix by row, and by column; ties go to the smaller index."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]


@njit(cache=True, nogil=True)
def row_extremes(matrix: Floats, sign: float, numbers: Numbers, values: Floats) -> None:
    """Fill numbers and values [n, k] with the columns of each row's k largest sign * value, in order."""
    n, width = matrix.shape
    k = numbers.shape[1]
    for row in range(n):
        kept = 0
        for column in range(width):
            value = np.float32(sign) * matrix[row, column]
            if kept == k and value <= values[row, k - 1]:
                continue
            place = kept if kept < k else k - 1
            kept = min(kept + 1, k)
            while place > 0 and value > values[row, place - 1]:
                values[row, place] = values[row, place - 1]
                numbers[row, place] = numbers[row, place - 1]
                place -= 1
            values[row, place] = value
            numbers[row, place] = column


@njit(cache=True, nogil=True)
def column_extremes(matrix: Floats, sign: float, first: int, numbers: Numbers, values: Floats) -> None:
    """Enter rows first, first + 1, … of a larger matrix on the boards of its columns, each [width, k].

    A board is in descending order of sign * value; empty places hold -inf. Rows must come in order.
    """
    n, width = matrix.shape
    k = numbers.shape[1]
    for row in range(n):
        for column in range(width):
            value = np.float32(sign) * matrix[row, column]
            if value <= values[column, k - 1]:
                continue
            place = k - 1
            while place > 0 and value > values[column, place - 1]:
                values[column, place] = values[column, place - 1]
                numbers[column, place] = numbers[column, place - 1]
                place -= 1
            values[column, place] = value
            numbers[column, place] = first + row
