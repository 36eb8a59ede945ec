"""Choosing a few entries of each feature, one a text, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from precompute.features.kernels.draws import GOLDEN, first_state, mixed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def offer(scores: Floats, texts: Ints, entries: Ints, n: int, score: float, text: int, entry: int) -> int:
    """Enter a candidate into a list of the best, one a text; returns the new length of the list.

    The first n places are taken, best first; of equal scores the one offered first stays ahead.
    """
    size = len(scores)
    if n == size and (size == 0 or score <= scores[size - 1]):
        return n
    place = 0
    while place < n and texts[place] != text:
        place += 1
    if place < n and score <= scores[place]:
        return n
    if place == size:
        place -= 1
    longer = max(n, place + 1)
    while place > 0 and score > scores[place - 1]:
        scores[place], texts[place] = scores[place - 1], texts[place - 1]
        entries[place] = entries[place - 1]
        place -= 1
    scores[place], texts[place], entries[place] = score, text, entry
    return longer


@njit(cache=True, nogil=True)
def choose(
    indptr: Ints,
    rows: Ints,
    acts: NDArray[np.float32],
    row_example: NDArray[Any],
    example_text: Ints,
    above: float,
    edges: Floats,
    first_feature: int,
    seed: int,
    n: int,
) -> Ints:
    """Up to n entries of each feature in each band, one a text; int64 [n_features, n_bands, n], -1 for none.

    Bands part the activations greater than `above` at `edges` [n_features, n_bands - 1], an edge belonging
    to the band below it. With a seed of -1 the strongest are chosen, else entries drawn by a hash of
    (seed, feature, row), so that no order of work matters.
    """
    n_features, n_bands = len(indptr) - 1, edges.shape[1] + 1
    chosen = np.full((n_features, n_bands, n), -1, np.int64)
    scores, texts = np.empty((n_bands, n)), np.empty((n_bands, n), np.int64)
    lengths = np.empty(n_bands, np.int64)
    for f in range(n_features):
        lengths[:] = 0
        state = first_state(max(seed, 0), first_feature + f)
        for k in range(indptr[f], indptr[f + 1]):
            value = np.float64(acts[k])
            if value <= above:
                continue
            band = 0
            while band < n_bands - 1 and value > edges[f, band]:
                band += 1
            score = value
            if seed >= 0:
                score = np.float64(mixed(state + np.uint64(rows[k]) * GOLDEN) >> np.uint64(11)) * UNIT
            if lengths[band] == n and (n == 0 or score <= scores[band, n - 1]):
                continue
            text = example_text[row_example[rows[k]]]
            lengths[band] = offer(scores[band], texts[band], chosen[f, band], lengths[band], score, text, k)
    return chosen


@njit(cache=True, nogil=True)
def nearest_silent(
    similarity: NDArray[np.float32],
    indptr: Ints,
    rows: Ints,
    row_example: NDArray[Any],
    example_candidate: Ints,
    candidate_text: Ints,
    n: int,
) -> Ints:
    """The n most similar candidates on which each feature is silent, one a text; int64 [n_features, n].

    `similarity` [n_features, n_candidates]; `example_candidate` [n_examples] numbers an example among the
    candidates, -1 if it is none. Places not taken hold -1.
    """
    n_features, n_candidates = similarity.shape
    chosen = np.full((n_features, n), -1, np.int64)
    scores, texts = np.empty(n), np.empty(n, np.int64)
    last_firing = np.full(n_candidates, -1, np.int64)
    for f in range(n_features):
        length = 0
        for k in range(indptr[f], indptr[f + 1]):
            candidate = example_candidate[row_example[rows[k]]]
            if candidate >= 0:
                last_firing[candidate] = f
        for candidate in range(n_candidates):
            score = np.float64(similarity[f, candidate])
            if last_firing[candidate] != f and (length < n or score > scores[n - 1]):
                text = candidate_text[candidate]
                length = offer(scores, texts, chosen[f], length, score, text, candidate)
    return chosen
