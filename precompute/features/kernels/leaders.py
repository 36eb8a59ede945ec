"""The first few of many candidates, in a total order that no tie can upset."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@njit(cache=True, nogil=True, inline="always")
def precedes(primary: Floats, secondary: Floats, codes: Codes, a: int, b: int) -> Any:
    """Whether candidate a comes before b: greater primary, then greater secondary, then smaller code."""
    if primary[a] != primary[b]:
        return primary[a] > primary[b]
    if secondary[a] != secondary[b]:
        return secondary[a] > secondary[b]
    return codes[a] < codes[b]


@njit(cache=True, nogil=True)
def leaders(primary: Floats, secondary: Floats, codes: Codes, n: int, kept: Codes) -> int:
    """Fill `kept` with the indices of the first of n candidates, best first; returns how many there are."""
    n_kept, size = 0, len(kept)
    for candidate in range(n):
        if n_kept == size:
            if not precedes(primary, secondary, codes, candidate, kept[size - 1]):
                continue
            place = size - 1
        else:
            place = n_kept
            n_kept += 1
        while place > 0 and precedes(primary, secondary, codes, candidate, kept[place - 1]):
            kept[place] = kept[place - 1]
            place -= 1
        kept[place] = candidate
    return n_kept
