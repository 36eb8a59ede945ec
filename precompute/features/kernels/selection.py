"""Choosing a few entries of each feature, one a text, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from precompute.features.kernels.draws import GOLDEN, first_state, mixed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ENTRIES_AT_ONCE = 1024
CROWDED = 0.95 * 2.0**53
"""A hash, which is below 2^53: where 5 are kept, the least of them exceeds it once a band had some 100."""


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
def strongest(
    indptr: Ints,
    rows: NDArray[Any],
    acts: NDArray[np.float32],
    row_example: NDArray[Any],
    example_text: Ints,
    n: int,
) -> Ints:
    """The n strongest entries of each feature, one a text; int64 [n_features, n], -1 for none."""
    n_features = len(indptr) - 1
    chosen = np.full((n_features, n), -1, np.int64)
    scores, texts = np.empty(n), np.empty(n, np.int64)
    for f in range(n_features if n else 0):
        length, least = 0, -np.inf
        for k in range(indptr[f], indptr[f + 1]):
            score = np.float64(acts[k])
            if score > least:
                text = example_text[row_example[rows[k]]]
                length = offer(scores, texts, chosen[f], length, score, text, k)
                if length == n:
                    least = scores[n - 1]
    return chosen


@njit(cache=True, nogil=True)
def draw(
    indptr: Ints,
    rows: NDArray[Any],
    acts: NDArray[np.float32],
    row_example: NDArray[Any],
    example_text: Ints,
    above: Floats,
    edges: Floats,
    first_feature: int,
    seed: int,
    n: int,
) -> Ints:
    """Up to n entries of each feature in each band of each kind, one a text, drawn by seed.

    Bands of kind i part the activations greater than `above[i]` at `edges[i]` [n_features, n_bands - 1], an
    edge belonging to the band below it. Those are drawn whose hash of (seed, feature, row) is greatest, so
    that no order of work matters. Returns int64 [n_kinds, n_features, n_bands, n], -1 for none.
    """
    n_kinds, n_features, n_bands = edges.shape[0], edges.shape[1], edges.shape[2] + 1
    chosen = np.full((n_kinds, n_features, n_bands, n), -1, np.int64)
    scores, texts = np.empty((n_kinds, n_bands, n)), np.empty((n_kinds, n_bands, n), np.int64)
    lengths, hashes = np.empty((n_kinds, n_bands), np.int64), np.empty(ENTRIES_AT_ONCE)
    for f in range(n_features if n else 0):
        lengths[:] = 0
        state = first_state(seed, first_feature + f)
        for start in range(indptr[f], indptr[f + 1], ENTRIES_AT_ONCE):
            stop = min(start + ENTRIES_AT_ONCE, indptr[f + 1])
            for k in range(start, stop):
                bits = mixed(state + np.uint64(rows[k]) * GOLDEN) >> np.uint64(11)
                hashes[k - start] = np.float64(np.int64(bits))
            for i in range(n_kinds):
                found = scores[i], texts[i], lengths[i], chosen[i, f]
                where = rows, acts, row_example, example_text
                _draw_from(start, stop, hashes, where, above[i], edges[i, f], found)
    return chosen


@njit(cache=True, nogil=True)
def _draw_from(
    start: int, stop: int, hashes: Floats, where: Any, above: float, edges: Floats, found: Any
) -> None:
    """Offer some entries of one feature to its bands of one kind."""
    rows, acts, row_example, example_text = where
    scores, texts, lengths, chosen = found
    n = scores.shape[1]
    least, highest = _refused(scores, lengths, edges)
    for k in range(start, stop):
        score, value = hashes[k - start], np.float64(acts[k])
        # Nearly all entries end here.
        if (score <= least and value <= highest) or value <= above:
            continue
        band = 0
        for b in range(len(edges)):
            band += value > edges[b]
        length = lengths[band]
        if length == n and score <= scores[band, n - 1]:
            continue
        text = example_text[row_example[rows[k]]]
        lengths[band] = offer(scores[band], texts[band], chosen[band], length, score, text, k)
        least, highest = _refused(scores, lengths, edges)


@njit(cache=True, nogil=True)
def _refused(scores: Floats, lengths: Ints, edges: Floats) -> tuple[float, float]:
    """A score and a value: what exceeds neither would be taken by no band, whichever it belongs to.

    It would belong to one of the lowest bands, all of them full, and of so many entries that few scores
    exceed what is kept: most entries belong to these.
    """
    n_bands, n = scores.shape
    least = np.inf
    for band in range(n_bands):
        if lengths[band] < n or scores[band, n - 1] < CROWDED:
            return least, edges[band - 1] if band else -np.inf
        least = min(least, scores[band, n - 1])
    return least, np.inf


@njit(cache=True, nogil=True)
def fires_within(rows: NDArray[Any], start: int, stop: int, first: int, last: int) -> bool:
    """Whether any of the ascending rows[start:stop] lies from `first` up to `last`, not included."""
    low, high = start, stop
    while low < high:
        middle = (low + high) // 2
        if np.int64(rows[middle]) < first:
            low = middle + 1
        else:
            high = middle
    return bool(low < stop and rows[low] < last)


@njit(cache=True, nogil=True)
def nearest_silent(
    similarity: NDArray[np.float32],
    indptr: Ints,
    rows: NDArray[Any],
    candidate_rows: Ints,
    candidate_text: Ints,
    n: int,
) -> Ints:
    """The n most similar candidates on which each feature is silent, one a text; int64 [n_features, n].

    `similarity` [n_features, n_candidates]; `candidate_rows` [n_candidates, 2] is where the rows of each
    begin and end. Places not taken hold -1.
    """
    n_features, n_candidates = similarity.shape
    chosen = np.full((n_features, n), -1, np.int64)
    scores, texts = np.empty(n), np.empty(n, np.int64)
    for f in range(n_features if n else 0):
        length, least = 0, np.float32(-np.inf)
        for candidate in range(n_candidates):
            if similarity[f, candidate] <= least:
                continue
            first, last = candidate_rows[candidate]
            if fires_within(rows, indptr[f], indptr[f + 1], first, last):
                continue
            score, text = np.float64(similarity[f, candidate]), candidate_text[candidate]
            length = offer(scores, texts, chosen[f], length, score, text, candidate)
            if length == n:
                least = np.float32(scores[n - 1])
    return chosen
