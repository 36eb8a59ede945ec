"""Leader boards: for each token, the features that fire on it most, kept while features stream past."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def offer(
    board_feature: NDArray[np.int32],
    board_total: Floats,
    board_count: NDArray[np.int32],
    board_largest: Floats,
    first_feature: int,
    group_indptr: Ints,
    token: Ints,
    count: Floats,
    total: Floats,
    largest: Floats,
) -> None:
    """Enter a block's (feature, token) groups on the tokens' boards, each [d_vocab, size].

    A board is in descending order of total; empty places hold feature -1, total -inf. Features must come in
    ascending order: an equal total ranks behind those already there, so ties go to the smaller feature.
    """
    size = board_feature.shape[1]
    for f in range(len(group_indptr) - 1):
        for g in range(group_indptr[f], group_indptr[f + 1]):
            t = token[g]
            if total[g] <= board_total[t, size - 1]:
                continue
            place = size - 1
            while place > 0 and total[g] > board_total[t, place - 1]:
                board_feature[t, place] = board_feature[t, place - 1]
                board_total[t, place] = board_total[t, place - 1]
                board_count[t, place] = board_count[t, place - 1]
                board_largest[t, place] = board_largest[t, place - 1]
                place -= 1
            board_feature[t, place] = first_feature + f
            board_total[t, place], board_count[t, place] = total[g], count[g]
            board_largest[t, place] = largest[g]
