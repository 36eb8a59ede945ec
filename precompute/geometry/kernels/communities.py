"""Moving the nodes of a weighted graph to better communities; one thread, so one result."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def move_nodes(
    indptr: Ints, tail: Ints, weight: Floats, degree: Floats, resolution: float, order: Ints, community: Ints
) -> int:
    """Move each node to the neighbouring community that gains most, until none moves; the moves made.

    The gain of node i in community c is w(i, c) - resolution * k_i * K_c / 2m (Blondel et al. 2008, with
    the resolution of Reichardt and Bornholdt 2006). Nodes wait in a queue that begins in `order`; those
    next to one that moved wait again (Ozaki, Tezuka and Inaba 2016). Ties go to the smaller number.
    """
    n = len(degree)
    total = np.zeros(n)
    for i in range(n):
        total[community[i]] += degree[i]
    scale = resolution / degree.sum()
    link = np.zeros(n)
    near = np.empty(n, np.int64)
    queue = order.copy()
    waiting = np.ones(n, np.bool_)
    first, length, n_moves = 0, n, 0
    while length:
        i = queue[first]
        first = (first + 1) % n
        length -= 1
        waiting[i] = False
        own = community[i]
        total[own] -= degree[i]
        n_near = 0
        for e in range(indptr[i], indptr[i + 1]):
            c = community[tail[e]]
            if tail[e] != i:
                if link[c] == 0.0:
                    near[n_near] = c
                    n_near += 1
                link[c] += weight[e]
        best, most = own, link[own] - scale * degree[i] * total[own]
        for j in range(n_near):
            c = near[j]
            gain = link[c] - scale * degree[i] * total[c]
            # Rounding alone must not move a node back and forth.
            if gain > most + 1e-12 or (gain > most - 1e-12 and best != own and c < best):
                best, most = c, gain
        for j in range(n_near):
            link[near[j]] = 0.0
        community[i] = best
        total[best] += degree[i]
        if best != own:
            n_moves += 1
            for e in range(indptr[i], indptr[i + 1]):
                j = tail[e]
                if community[j] != best and not waiting[j]:
                    waiting[j] = True
                    queue[(first + length) % n] = j
                    length += 1
    return n_moves
