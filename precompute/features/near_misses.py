"""Near misses: examples on which a feature is silent, though they resemble those on which it fires most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.stores.feature_store import FeatureBlock
from precompute.stores.row_store import RowStore

MAX_CANDIDATES = 20_000
"""Examples compared with each feature's top ones; drawn by seed where a corpus has more."""


@dataclass(frozen=True)
class Candidates:
    """Examples that may be near misses, and the mean residual of every example."""

    means: NDArray[np.float32]
    """float32 [n_examples, d_in]: mean of the captured activations over an example's rows."""
    examples: NDArray[np.int64]
    """int64 [n_candidates], ascending: those with rows."""
    directions: NDArray[np.float32]
    """float32 [n_candidates, d_in]: their means, of length 1."""
    texts: NDArray[np.int64]
    """int64 [n_candidates]: equal for examples of equal texts."""
    rows: NDArray[np.int64]
    """int64 [n_candidates, 2]: where their rows begin and end."""


def find_candidates(store: RowStore, example_text: NDArray[np.int64], seed: int) -> Candidates:
    """All examples with rows, or MAX_CANDIDATES of them; none where no activation of the model is known."""
    means = np.concatenate(
        [
            np.zeros((0, store.info.d_in), np.float32),
            *(store.values(number, "example_means") for number in range(store.n_shards)),
        ]
    )
    examples = np.flatnonzero(np.diff(store.example_row_indptr))
    if not store.info.d_in:
        examples = examples[:0]  # What the SAE has read was not kept, so nothing resembles anything.
    if len(examples) > MAX_CANDIDATES:
        generator = np.random.default_rng(seed)
        examples = np.sort(generator.choice(examples, MAX_CANDIDATES, replace=False))
    rows = np.stack([store.example_row_indptr[:-1][examples], store.example_row_indptr[1:][examples]], axis=1)
    return Candidates(means, examples, unit_rows(means[examples]), example_text[examples], rows)


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same directions with length 1; a zero vector stays zero."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(norms, norms, 1)).astype(np.float32)


def near_misses(
    block: FeatureBlock, top_examples: NDArray[np.int64], candidates: Candidates, n: int
) -> NDArray[np.int64]:
    """Examples whose mean residual has the greatest cosine with the average of the top examples'.

    `top_examples` int64 [n_features, n_top], -1 for none. Returns int64 [n_features, n], nearest first, -1
    where there are no more, and everywhere for a feature without a top example.
    """
    from precompute.features.kernels.selection import nearest_silent

    if not len(candidates.examples):
        return np.full((block.n_features, n), -1, dtype=np.int64)
    queries = np.zeros((block.n_features, candidates.means.shape[1]))
    for examples in top_examples.T:
        queries += np.where(examples[:, None] >= 0, candidates.means[examples], 0)
    similarity = unit_rows(queries.astype(np.float32)) @ candidates.directions.T
    found = nearest_silent(similarity, block.indptr, block.rows, candidates.rows, candidates.texts, n)
    found[(top_examples < 0).all(axis=1)] = -1
    return np.where(found >= 0, candidates.examples[found], -1)
