"""Windows of tokens around a feature's active rows: what stands in them, and what stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from precompute.features.kernels.draws import drawn
from precompute.features.kernels.leaders import leaders

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def count_tokens(
    token_ids: NDArray[np.int32],
    example_indptr: Ints,
    row_token: Ints,
    row_example: NDArray[np.int32],
    special: NDArray[np.bool_],
    rows: Any,
    width: int,
    count: Ints,
    seen: Ints,
) -> Any:
    """Count the tokens in the union of the windows around ascending rows, special ones left out.

    `count` [d_vocab] comes in as zeros; `seen` [d_vocab] receives the distinct tokens in order of first
    occurrence. Returns (number of distinct tokens, number of tokens). A row without a position (-1 in
    `row_token`) has its whole example as its window.
    """
    n_seen, n_tokens, done = 0, 0, np.int64(0)
    for row in rows:
        first, last = example_indptr[row_example[row]], example_indptr[row_example[row] + 1]
        if row_token[row] >= 0:
            first, last = max(first, row_token[row] - width), min(last, row_token[row] + width + 1)
        # Rows ascend, so whatever lies before `done` has been counted for an earlier row.
        for i in range(max(first, done), last):
            token = token_ids[i]
            if special[token]:
                continue
            if count[token] == 0:
                seen[n_seen] = token
                n_seen += 1
            count[token] += 1
            n_tokens += 1
        done = max(done, last)
    return n_seen, n_tokens


@njit(cache=True, nogil=True)
def characteristic_tokens(
    token_ids: NDArray[np.int32],
    example_indptr: Ints,
    row_token: Ints,
    row_example: NDArray[np.int32],
    special: NDArray[np.bool_],
    idf: Floats,
    first_feature: int,
    indptr: Ints,
    rows: Ints,
    width: int,
    max_rows: int,
    seed: int,
    size: int,
) -> Any:
    """The `size` tokens of greatest tf * idf of each feature of a block; ties go to the smaller token.

    Returns (n_kept [n_features], token, tf, tfidf, each [n_features, size]).
    """
    n_features, d_vocab = len(indptr) - 1, len(idf)
    count, seen = np.zeros(d_vocab, np.int64), np.empty(d_vocab, np.int64)
    score, level, best = np.empty(d_vocab), np.zeros(d_vocab), np.empty(size, np.int64)
    n_kept = np.zeros(n_features, np.int64)
    token = np.zeros((n_features, size), np.int64)
    tf, tfidf = np.zeros((n_features, size)), np.zeros((n_features, size))
    for f in range(n_features):
        active = rows[indptr[f] : indptr[f + 1]]
        chosen = active[drawn(len(active), max_rows, seed, first_feature + f)]
        n_seen, n_tokens = count_tokens(
            token_ids, example_indptr, row_token, row_example, special, chosen, width, count, seen
        )
        for i in range(n_seen):
            score[i] = count[seen[i]] / n_tokens * idf[seen[i]]
        n_kept[f] = leaders(score, level, seen, n_seen, best)
        for rank in range(n_kept[f]):
            token[f, rank] = seen[best[rank]]
            tf[f, rank], tfidf[f, rank] = count[seen[best[rank]]] / n_tokens, score[best[rank]]
        count[seen[:n_seen]] = 0
    return n_kept, token, tf, tfidf
